/** Elements, made of values. What a stranger wrote is a text node, always: nothing here, and nothing
 * else of this page, reads HTML. */

/** `its`: properties; `on…` is a listener, `aria-…`, `data-…` and `role` are attributes. */
export function h(tag, its = {}, ...children) {
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(its)) {
    if (value === null || value === undefined || value === false) continue
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value)
    else if (name === 'class') element.className = value
    else if (name === 'style') for (const [key, each] of Object.entries(value)) element.style.setProperty(key, each)
    else if (name in element && !name.includes('-') && name !== 'role') element[name] = value
    else element.setAttribute(name, value === true ? '' : value)
  }
  element.append(...children.flat(2).filter((child) => child !== null && child !== undefined && child !== false))
  return element
}

const SVG = 'http://www.w3.org/2000/svg'
const PATHS = {
  add: 'M12 5v14M5 12h14',
  back: 'M15 5l-7 7 7 7',
  people:
    'M9 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7zm-6 9c0-3.5 2.7-6 6-6s6 2.5 6 6M16 4.5a3.5 3.5 0 0 1 0 6.5M18 14.5c1.9.8 3 2.800 3 5.5',
  send: 'M5 12l14-7-5 14-3-6z',
  more: 'M6 12h.01M12 12h.01M18 12h.01',
  close: 'M6 6l12 12M18 6L6 18',
  waiting: 'M12 7v5l3 2M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18z',
  down: 'M12 5v14M6 13l6 6 6-6',
}

/** A line drawing beside words, or in a button that has a name. */
export function icon(name) {
  const svg = document.createElementNS(SVG, 'svg')
  const path = document.createElementNS(SVG, 'path')
  path.setAttribute('d', PATHS[name])
  svg.setAttribute('viewBox', '0 0 24 24')
  svg.setAttribute('class', 'icon')
  svg.setAttribute('aria-hidden', 'true')
  svg.append(path)
  return svg
}

/** A button that has a drawing for its face. */
export const iconButton = (name, label, onclick, its = {}) =>
  h('button', { type: 'button', class: 'round', title: label, 'aria-label': label, onclick, ...its }, icon(name))

const prints = new WeakMap() // of elements

/** Puts `items` into `parent`, in order: what is the same stays as it is, with its focus and its
 * place on the screen. `key` names an item, `print` is all that its element shows. */
export function reconcile(parent, items, { key, print, make }) {
  const known = new Map([...parent.children].map((child) => [child.dataset.key, child]))
  let at = parent.firstElementChild
  for (const item of items) {
    const [name, shown] = [key(item), print(item)]
    let element = known.get(name)
    known.delete(name)
    if (!element || prints.get(element) !== shown) {
      const made = make(item)
      made.dataset.key = name
      prints.set(made, shown)
      if (element) replaceKeepingFocus(element, made)
      if (element === at) at = made
      element = made
    }
    if (element === at) at = at.nextElementSibling
    else parent.insertBefore(element, at)
  }
  for (const gone of known.values()) gone.remove()
}

function replaceKeepingFocus(old, made) {
  const had = old.contains(document.activeElement) ? document.activeElement : null
  old.replaceWith(made)
  if (!had) return
  const same = had.id
    ? made.querySelector(`#${CSS.escape(had.id)}`)
    : had.className && made.querySelector(`.${[...had.classList].join('.')}`)
  ;(same || made).focus({ preventScroll: true })
}

/** A dialog that is gone when it is closed. `make` is given the dialog. */
export function openDialog(title, make) {
  const before = document.activeElement
  const id = `d${Math.random().toString(36).slice(2)}`
  const dialog = h('dialog', { 'aria-labelledby': id })
  const close = iconButton('close', 'Close', () => dialog.close())
  dialog.append(h('header', {}, h('h2', { id }, title), close), ...[make(dialog)].flat())
  dialog.addEventListener('close', () => {
    dialog.remove()
    before?.isConnected && before.focus()
  })
  dialog.addEventListener('click', (event) => event.target === dialog && dialog.close())
  document.body.append(dialog)
  dialog.showModal()
  return dialog
}

/** Says it, once, to who does not see the page. */
export function announce(text) {
  const said = h('p', {}, text)
  document.getElementById('news').append(said)
  setTimeout(() => said.remove(), 10_000)
}
