/** The messages of the open conversation. */

import { h, icon, reconcile } from './dom.js'
import { face } from './faces.js'
import { line, parts, plain } from './plain.js'
import { day, full, refusal, stateOf, time } from './words.js'

const GROUP_MS = 5 * 60_000 // what somebody says within it stands together

/** Everything that stands in the list, in order: { key, … }. `notes`: who came and went. */
export function itemsOf({ messages, notes, newFrom }) {
  const items = []
  let before = null
  const all = [...messages, ...notes].sort((a, b) => a.at_ms - b.at_ms || (a.seq ?? 0) - (b.seq ?? 0))
  const lastOwn = lastOfEachState(messages)
  for (const one of inOrder(all, messages)) {
    if (!before || day(before.at_ms) !== day(one.at_ms)) {
      items.push({ key: `day ${day(one.at_ms)} ${items.length ? one.key : ''}`, what: 'day', text: day(one.at_ms) })
      before = null
    }
    if (one.key === newFrom) items.push({ key: 'new', what: 'new' })
    const follows = before?.author === one.author && one.at_ms - before.at_ms < GROUP_MS && one.key !== newFrom
    items.push({
      ...one,
      what: one.author ? 'message' : 'note',
      follows: follows && !one.reply_to,
      saysState: lastOwn.has(one.key),
    })
    before = one
  }
  return items
}

/** Messages stay in the order that the host gave them, whatever their times; notes go between. */
function inOrder(all, messages) {
  const left = [...messages]
  return all.map((one) => (one.author ? left.shift() : one))
}

/** A state is said once: at the last message that has come so far. What failed says so each. */
function lastOfEachState(messages) {
  const found = new Map()
  for (const message of messages) {
    if (message.is_own) found.set(message.state === 'failed' ? message.key : stateOf(message), message.key)
  }
  const reached = [...found].map(([, key]) => key)
  return new Set(reached)
}

export function drawMessages(list, items, context) {
  reconcile(list, items, {
    key: (item) => item.key,
    print: (item) => JSON.stringify([item, context.print(item)]),
    make: (item) => MAKE[item.what](item, context),
  })
  keepOneInTabs(list)
}

/** Tab comes to one message; the arrows go from there. */
function keepOneInTabs(list) {
  const all = [...list.querySelectorAll('.message')]
  const here = all.find((each) => each.tabIndex === 0) ?? all.at(-1)
  for (const each of all) each.tabIndex = each === here ? 0 : -1
}

export function moveByKeys(event) {
  const here = event.target.closest('.message')
  if (!here || event.target !== here) return
  const all = [...here.parentElement.querySelectorAll('.message')]
  const step = { ArrowUp: -1, ArrowDown: 1 }[event.key]
  const to = step ? all[all.indexOf(here) + step] : { Home: all[0], End: all.at(-1) }[event.key]
  if (!to) return
  event.preventDefault()
  for (const each of all) each.tabIndex = each === to ? 0 : -1
  to.focus()
}

const MAKE = {
  day: ({ text }) => h('li', { class: 'day' }, h('span', {}, text)),
  new: () => h('li', { class: 'new' }, h('span', {}, 'New')),
  note: ({ text }) => h('li', { class: 'note' }, text),
  message: makeMessage,
}

function makeMessage(message, context) {
  const { is_own, follows, state } = message
  const element = h(
    'li',
    {
      class: ['message', is_own ? 'own' : 'other', follows ? 'follows' : 'first', state].join(' '),
      tabIndex: -1,
      onkeydown: (event) => {
        if (event.target === element && ['Enter', ' ', 'ContextMenu'].includes(event.key)) {
          event.preventDefault()
          context.menu(message, element)
        }
      },
      oncontextmenu: (event) => {
        if (event.target.closest('a')) return
        event.preventDefault()
        context.menu(message, element)
      },
    },
    is_own
      ? null
      : follows
        ? h('span', { class: 'face none' })
        : face(context.person(message.author), message.author_name),
    h(
      'div',
      { class: 'body' },
      who(message),
      bubble(message, context),
      reactions(message, context),
      ending(message, context),
    ),
  )
  return element
}

const isTouch = () => matchMedia('(hover: none)').matches

const who = ({ is_own, follows, author_name }) =>
  follows
    ? null
    : h('p', { class: is_own ? 'unseen' : 'who', dir: 'auto' }, is_own ? 'You' : line(author_name) || 'Somebody')

function bubble(message, context) {
  const { text, at_ms, is_edited, is_pending, reply_to } = message
  const marks = [is_edited ? 'edited' : '', is_pending ? 'waiting' : ''].filter(Boolean).map((mark) => `${mark} · `)
  return h(
    'div',
    {
      class: 'bubble',
      onclick: (event) => isTouch() && !event.target.closest('a, button') && context.menu(message, event.currentTarget),
    },
    reply_to ? replied(context.messageOf(reply_to)) : null,
    h('p', { class: 'text', dir: 'auto' }, [...parts(plain(text))].map(part)),
    h(
      'span',
      { class: 'meta' },
      ...marks,
      h('time', { dateTime: new Date(at_ms).toISOString(), title: full(at_ms) }, time(at_ms)),
    ),
    h(
      'button',
      {
        type: 'button',
        class: 'round more',
        tabIndex: -1,
        'aria-label': 'More',
        onclick: (event) => context.menu(message, event.currentTarget),
      },
      icon('more'),
    ),
  )
}

const part = ({ text, href }) =>
  href ? h('a', { href, target: '_blank', rel: 'noopener noreferrer nofollow' }, text) : text

function replied(answered) {
  const words = answered
    ? [h('b', {}, answered.is_own ? 'You' : line(answered.author_name)), ` ${line(answered.text).slice(0, 140)}`]
    : ['an earlier message']
  return h('blockquote', { dir: 'auto' }, ...words)
}

function reactions(message, { me, react, nameOf }) {
  if (!message.reactions.length) return null
  return h(
    'ul',
    { class: 'reactions', 'aria-label': 'Reactions' },
    message.reactions.map(({ reaction, users }) => {
      const isMine = users.includes(me)
      const names = users.map((user) => (user === me ? 'You' : nameOf(user))).join(', ')
      const its = {
        type: 'button',
        'aria-pressed': String(isMine),
        title: names,
        'aria-label': `${line(reaction)}: ${names}`,
      }
      return h(
        'li',
        {},
        h(
          'button',
          { ...its, onclick: () => react(message, reaction, !isMine) },
          line(reaction),
          h('span', {}, String(users.length)),
        ),
      )
    }),
  )
}

function ending(message, { again, dismiss }) {
  if (!message.saysState) return null
  if (message.state !== 'failed')
    return h('p', { class: 'state' }, h('span', { class: 'mark', 'aria-hidden': 'true' }), stateOf(message))
  return h(
    'p',
    { class: 'state problem' },
    `Not sent: ${refusal(message)}. `,
    h('button', { type: 'button', class: 'link', onclick: () => again(message.local) }, 'Try again'),
    ' ',
    h('button', { type: 'button', class: 'link', onclick: () => dismiss(message.local) }, 'Drop it'),
  )
}
