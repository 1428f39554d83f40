/** The conversations, the one in which something was said last first. */

import { h, reconcile } from './dom.js'
import { face } from './faces.js'
import { line } from './plain.js'
import { lately, shown } from './words.js'

/** What a conversation is called: its name, or who is in it. */
export function titleOf(conversation, members, me) {
  const name = line(conversation.name)
  if (name) return name
  const others = members.filter((member) => member.user !== me)
  return others.length ? others.map(shown).join(', ') : 'Only you'
}

/** `entries`: { conversation, members, typists, stamp }. */
export function drawList(list, entries, { me, open, choose }) {
  const now = lately(Date.now()).length // so that yesterday's hours become a day
  reconcile(list, entries, {
    key: ({ conversation }) => conversation.key,
    print: ({ conversation, typists, stamp }) => `${stamp} ${conversation.key === open} ${now} ${typists}`,
    make: ({ conversation, members, typists }) => {
      const isOpen = conversation.key === open
      const title = titleOf(conversation, members, me)
      const button = h(
        'button',
        {
          type: 'button',
          class: 'item',
          'aria-current': isOpen ? 'true' : null,
          onclick: () => choose(conversation.key),
        },
        faceOf(members, me, title),
        h('span', { class: 'name', dir: 'auto' }, title),
        h('span', { class: 'when' }, conversation.newest_ms ? lately(conversation.newest_ms) : ''),
        preview(conversation, typists, me),
        badge(conversation),
      )
      return h('li', {}, button)
    },
  })
}

function faceOf(members, me, title) {
  const others = members.filter((member) => member.user !== me)
  return others.length === 1
    ? face(others[0], shown(others[0]))
    : face({ user: members.map((m) => m.user.slice(0, 2)).join('') }, title)
}

function preview({ state, newest, detail }, typists, me) {
  if (state === 'failed')
    return h('span', { class: 'said problem' }, `Not made: ${line(detail) || 'the host refused it'}`)
  if (typists.length) return h('span', { class: 'said types' }, `${typists.join(', ')} typing…`)
  if (!newest) return h('span', { class: 'said' }, 'Nothing was said yet')
  const who = newest.author === me ? 'You' : line(newest.author_name)
  const mark = { sending: ' · sending', failed: ' · not sent' }[newest.state] ?? ''
  return h('span', { class: 'said', dir: 'auto' }, `${who}: ${line(newest.text).slice(0, 120)}${mark}`)
}

function badge({ unread }) {
  if (!unread) return null
  const count = unread >= 100 ? '99+' : String(unread)
  return h('span', { class: 'badge' }, count, h('span', { class: 'unseen' }, ' unread'))
}
