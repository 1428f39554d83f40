/** What can be done with one message: at the message, by mouse, finger or keys. */

import { h } from './dom.js'
import { full, refusal, stateOf } from './words.js'

const REACTIONS = ['👍', '❤️', '😂', '😮', '😢', '🎉']

/** `deeds`: react, reply, edit, remove, again, dismiss, copy; each is given the message. */
export function openMenu(message, anchor, deeds) {
  document.querySelector('.menu')?.remove()
  const menu = h('div', { class: 'menu', role: 'dialog', 'aria-label': 'What to do with this message' })
  menu.popover = 'auto'
  const done = (deed) => () => {
    menu.hidePopover()
    deed(message)
  }
  menu.append(...contents(message, deeds, done))
  menu.addEventListener('toggle', (event) => {
    if (event.newState !== 'closed') return
    menu.remove()
    if (document.activeElement === document.body) anchor.closest('.message')?.focus({ preventScroll: true })
  })
  menu.addEventListener('keydown', moveFocus)
  document.body.append(menu)
  menu.showPopover()
  place(menu, anchor)
  menu.querySelector('button')?.focus()
}

function contents(message, deeds, done) {
  const item = (label, deed, its = {}) =>
    h('button', { type: 'button', class: 'deed', onclick: done(deed), ...its }, label)
  const isFailed = message.state === 'failed'
  if (isFailed)
    return [
      item('Try again', deeds.again),
      item('Drop it', deeds.dismiss, { class: 'deed danger' }),
      item('Copy the text', deeds.copy),
      facts(message),
    ]
  return [
    h(
      'div',
      { class: 'quick' },
      REACTIONS.map((reaction) =>
        h(
          'button',
          { type: 'button', 'aria-label': `React ${reaction}`, onclick: done(() => deeds.react(message, reaction)) },
          reaction,
        ),
      ),
    ),
    item('Reply', deeds.reply),
    message.is_own ? item('Edit', deeds.edit) : null,
    item('Copy the text', deeds.copy),
    message.is_own ? item('Delete for everybody', deeds.remove, { class: 'deed danger' }) : null,
    facts(message),
  ].filter(Boolean)
}

function facts(message) {
  const state = message.is_own
    ? `${stateOf(message)}${message.state === 'failed' ? `: ${refusal(message)}` : ''}. `
    : ''
  return h('p', { class: 'facts' }, `${state}${full(message.at_ms)}${message.is_edited ? ', edited since' : ''}`)
}

function moveFocus(event) {
  const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key]
  if (!step) return
  const all = [...event.currentTarget.querySelectorAll('button')]
  event.preventDefault()
  all[(all.indexOf(document.activeElement) + step + all.length) % all.length].focus()
}

/** Beside what it is of, and on the screen. */
function place(menu, anchor) {
  const [its, at] = [menu.getBoundingClientRect(), anchor.getBoundingClientRect()]
  const left = Math.min(Math.max(8, at.left), innerWidth - its.width - 8)
  const below = at.bottom + 4
  const top =
    below + its.height < innerHeight - 8
      ? below
      : Math.max(8, Math.min(at.top - its.height - 4, innerHeight - its.height - 8))
  menu.style.left = `${left}px`
  menu.style.top = `${top}px`
}
