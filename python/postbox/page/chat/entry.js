/** How a user comes in: by the operator's link, whose fragment has the token. It is taken out of the
 * address at once, so that it stays in no history, and kept by sync.js. */

import { h } from './dom.js'
import { line } from './plain.js'
import { AnotherOwner, claimsOf, openDevice, SignInNeeded } from './sync.js'

export const DATABASE = 'postbox-chat'

/** Of a link, or of what somebody pasted. '': there is none. */
export const tokenIn = (text) => /(?:[#&]token=|^\s*)([\w-]+\.[\w-]+\.[\w-]+)\s*$/.exec(text)?.[1] ?? ''

export function takeToken() {
  const token = tokenIn(location.hash)
  if (token) history.replaceState(null, '', location.pathname)
  return token
}

const NO_LINK = 'This is no link to the chat. It ends with #token= and many letters: copy all of it.'

/** The device, sooner or later: it may take the user. `token`: of a link, which anybody may have made. */
export async function enter(root, token) {
  try {
    const device = await openDevice({ url: location.origin, database: DATABASE })
    if (claimsOf(token)) await signInTo(device, token)
    return device
  } catch (error) {
    if (error instanceof AnotherOwner) return choose(root, token, error.message)
    if (error instanceof SignInNeeded) return claimsOf(token) ? confirm(root, token) : ask(root, token && NO_LINK)
    return fail(root, error)
  }
}

async function signInTo(device, token) {
  try {
    await device.signIn(token)
  } catch (error) {
    device.close()
    throw error
  }
}

/** With a token that the user has chosen. */
async function begin(root, token) {
  const device = claimsOf(token).device || browserName()
  try {
    return await openDevice({ url: location.origin, database: DATABASE, token, device })
  } catch (error) {
    if (error instanceof AnotherOwner) return choose(root, token, error.message)
    return fail(root, error)
  }
}

function fail(root, error) {
  show(root, h('h1', {}, 'The chat cannot begin'), h('p', {}, error.message))
  throw error
}

/** What a token that names no device is used for: one name a browser. */
function browserName() {
  const known = localStorage.getItem('postbox device') ?? `web-${Math.random().toString(36).slice(2, 8)}`
  localStorage.setItem('postbox device', known)
  return known
}

function show(root, ...children) {
  root.className = 'entry'
  root.replaceChildren(
    h('main', { class: 'card' }, h('img', { src: '/assets/icon.svg', alt: '', width: 48, height: 48 }), ...children),
  )
}

/** Nobody is signed in here: who was sent by a stranger's link would write in the stranger's name. */
function confirm(root, token) {
  return new Promise((resolve) => {
    const submit = (event) => {
      event.preventDefault()
      resolve(begin(root, token))
    }
    const button = h('button', { class: 'main' }, 'Sign in')
    show(
      root,
      h('h1', { dir: 'auto' }, `Sign in as ${line(claimsOf(token).name)} at ${location.host}?`),
      h('p', {}, 'The link that you opened says so. If you are somebody else, close this page.'),
      h('form', { onsubmit: submit }, button),
    )
    button.focus()
  })
}

function ask(root, problem) {
  return new Promise((resolve) => {
    const field = h('input', { id: 'link', autocomplete: 'off', spellcheck: false, required: true })
    const told = h('p', { class: 'problem', role: 'alert' }, problem)
    const submit = (event) => {
      event.preventDefault()
      const token = tokenIn(field.value.trim())
      if (claimsOf(token)) resolve(begin(root, token))
      else told.textContent = NO_LINK
    }
    show(
      root,
      h('h1', {}, 'Chat'),
      h('p', {}, 'Open the link that the operator of this host gave you, in this browser. It signs you in for good.'),
      h(
        'form',
        { onsubmit: submit },
        h('label', { for: 'link' }, 'Or paste it here'),
        field,
        h('button', { class: 'main' }, 'Sign in'),
      ),
      told,
      h(
        'details',
        {},
        h('summary', {}, 'You are the operator?'),
        h('p', {}, 'This prints a link. One is for one device of one user:'),
        h('pre', {}, 'postbox token mint --user ann --device laptop --link'),
      ),
    )
  })
}

/** The link is another's than the one who has used this browser so far. */
function choose(root, token, problem) {
  return new Promise((resolve) => {
    const stay = () => resolve(enter(root, ''))
    const change = async () => {
      const device = await openDevice({ url: location.origin, database: DATABASE })
      await device.signOut()
      forgetPage()
      resolve(begin(root, token))
    }
    const claims = claimsOf(token)
    show(
      root,
      h('h1', {}, `Sign in as ${line(claims.name)}?`),
      h(
        'p',
        {},
        `${problem.split(':')[0]}. To sign in anew erases all that is kept in this browser, what was not sent, too.`,
      ),
      h(
        'div',
        { class: 'buttons' },
        h('button', { class: 'main', onclick: stay }, 'Stay as I am'),
        h('button', { class: 'danger', onclick: change }, 'Erase, and sign in'),
      ),
    )
  })
}

/** What the page itself keeps: drafts. */
export function forgetPage() {
  localStorage.clear()
  sessionStorage.clear()
}
