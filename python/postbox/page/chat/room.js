/** The conversation that is shown: its messages, where one is in them, and what one does there. */

import { Composer } from './composer.js'
import { people } from './dialogs.js'
import { announce, h, iconButton } from './dom.js'
import { titleOf } from './list.js'
import { openMenu } from './menu.js'
import { line } from './plain.js'
import { drawMessages, itemsOf, moveByKeys } from './talk.js'
import { connection, isLost, shown } from './words.js'

const PAGE = 50
const AT_END_PX = 80

export class Room {
  #chat
  #composer = new Composer({
    send: (text, about) => this.#send(text, about),
    typing: (isOver) => void this.#chat.device.typing(this.#chat.open, isOver),
    toMessages: () => this.#messages.querySelector('.message[tabindex="0"]')?.focus(),
  })
  #title = h('h2', { tabIndex: -1, dir: 'auto' })
  #about = h('p', { class: 'about' })
  #earlier = h(
    'button',
    { type: 'button', class: 'link earlier', onclick: () => void this.#older() },
    'Earlier messages',
  )
  #messages = h('ol', { class: 'messages', 'aria-label': 'Messages', onkeydown: (event) => this.#keys(event) })
  #scroll = h('div', { class: 'scroll', onscroll: () => this.#scrolled() }, this.#earlier, this.#messages)
  #toEndButton = iconButton('down', 'To the newest message', () => this.#toEnd(), {
    class: 'round to-end',
    hidden: true,
  })
  #typing = h('p', { class: 'typing', 'aria-live': 'polite' })
  #shown = [] // the messages
  #limits = new Map() // how many are shown of each conversation
  #newFrom = new Map() // the first that was unread when it was opened
  #members = new Map() // as they were shown last
  #notes = new Map() // who came and went while this page was open
  #marked = '' // the message up to which this page has said that all is read
  #isUnread = false // something in the conversation that is shown

  /** `chat`: has the device, and says what is `open`. */
  constructor(chat) {
    this.#chat = chat
    this.element = h(
      'div',
      { class: 'room', hidden: true },
      h(
        'header',
        {},
        iconButton('back', 'To the conversations', () => chat.choose(''), { class: 'round back' }),
        h('div', { class: 'titles' }, this.#title, this.#about),
        iconButton('people', 'People', () => people(chat)),
      ),
      this.#scroll,
      this.#toEndButton,
      this.#typing,
      this.#composer.element,
    )
  }

  // - what is shown

  /** `entry`: { conversation, typists }. */
  async draw({ conversation, typists }, members) {
    const { device, me } = this.#chat
    const key = conversation.key
    const found = await device.messages(key, { limit: this.#limit(key) })
    if (this.#chat.open !== key) return
    const wasAtEnd = this.#isAtEnd()
    const messages = (this.#shown = found.map((each) => ({ ...each, is_own: each.author === me })))
    this.#isUnread = conversation.unread > 0
    this.#noteMembers(key, members)
    this.#noteNew(conversation, messages)
    this.#title.textContent = titleOf(conversation, members, me)
    this.#about.textContent = this.#wordsAbout(conversation, members)
    this.#earlier.hidden = messages.length < this.#limit(key) && !conversation.has_older
    this.#drawTyping(typists)
    const items = itemsOf({ messages, notes: this.#notes.get(key) ?? [], newFrom: this.#newFrom.get(key) })
    drawMessages(this.#messages, items, this.#context(members))
    if (this.#messages.dataset.of !== key) this.#opened(key)
    else if (wasAtEnd) this.#toEnd()
    this.#offerEnd()
    await this.#read(conversation, messages)
  }

  /** Another conversation is going to be drawn. */
  open(before, key) {
    this.#newFrom.delete(before)
    this.#composer.open(key)
  }

  /** Where one goes on by keys. */
  focus() {
    if (matchMedia('(hover: hover)').matches) this.#composer.focus()
    else this.#title.focus()
  }

  say(complaint) {
    this.#composer.element.before(complaint)
  }

  forget() {
    this.#composer.forget()
  }

  #wordsAbout({ state, code, detail }, members) {
    const { device, me } = this.#chat
    if (state === 'failed') return `Not made: ${line(detail) || code}`
    const here = this.#chat.here()
    const others = members.filter((member) => member.user !== me)
    const count = others.filter((member) => here.has(member.user)).length
    return [
      isLost(device.status) ? connection(device.status).word : '',
      others.length > 1 ? `${members.length} people` : '',
      count ? (others.length > 1 ? `${count} here now` : 'here now') : '',
    ]
      .filter(Boolean)
      .join(' · ')
  }

  #context(members) {
    const of = new Map(members.map((member) => [member.user, member]))
    const keys = new Map(
      this.#shown.flatMap((each) => [
        [each.key, each],
        [each.uuid, each],
      ]),
    )
    const answered = (key) => keys.get(key)
    return {
      me: this.#chat.me,
      person: (user) => of.get(user) ?? { user },
      nameOf: (user) => (of.has(user) ? shown(of.get(user)) : 'Somebody'),
      messageOf: answered,
      print: (item) => [
        of.get(item.author)?.picture_sha256,
        item.reply_to && answered(item.reply_to)?.text,
        (item.reactions ?? []).map(({ users }) => users.map((user) => of.get(user)?.display)),
      ],
      menu: (message, anchor) => openMenu(message, anchor, this.#deeds()),
      react: (message, reaction, isWished) => void this.#react(message, reaction, isWished),
      again: (local) => void this.#again(local),
      dismiss: (local) => void this.#dismiss(local),
    }
  }

  #drawTyping(typists) {
    const text = typists.length ? `${typists.join(', ')} ${typists.length > 1 ? 'are' : 'is'} typing…` : ''
    if (this.#typing.textContent !== text) this.#typing.textContent = text
  }

  /** Who came and went while one looks. */
  #noteMembers(key, members) {
    const now = new Map(members.map((member) => [member.user, shown(member)]))
    const before = this.#members.get(key)
    this.#members.set(key, now)
    if (!before) return
    const came = [...now].filter(([user]) => !before.has(user)).map(([, name]) => `${name} joined`)
    const went = [...before].filter(([user]) => !now.has(user)).map(([, name]) => `${name} left`)
    for (const text of [...came, ...went]) {
      const notes = this.#notes.get(key) ?? []
      this.#notes.set(key, [...notes, { key: `note ${notes.length}`, at_ms: Date.now(), text }])
      announce(text)
    }
  }

  #noteNew(conversation, messages) {
    const { key, read_seq } = conversation
    if (this.#newFrom.has(key)) return
    const first = messages.find((each) => !each.is_own && each.seq > read_seq)
    this.#newFrom.set(key, first?.key ?? '')
  }

  // - where one is

  #opened(key) {
    this.#messages.dataset.of = key
    this.#composer.open(key)
    const first = this.#messages.querySelector('.new')
    if (first) first.scrollIntoView({ block: 'center' })
    else this.#toEnd()
  }

  #limit(key) {
    return this.#limits.get(key) ?? PAGE
  }

  /** From this browser, and then from the host. What one looks at stays where it is. */
  async #older() {
    const key = this.#chat.open
    const fromEnd = this.#scroll.scrollHeight - this.#scroll.scrollTop
    this.#limits.set(key, this.#limit(key) + PAGE)
    await this.#chat.draw()
    if (this.#shown.length < this.#limit(key)) {
      await this.#chat.attemptQuietly((device) => device.older(key))
      await this.#chat.draw()
    }
    this.#scroll.scrollTop = this.#scroll.scrollHeight - fromEnd
  }

  #isAtEnd() {
    const scroll = this.#scroll
    return scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < AT_END_PX
  }

  #toEnd() {
    const scroll = this.#scroll
    scroll.scrollTop = scroll.scrollHeight
  }

  #scrolled() {
    this.#offerEnd()
    if (this.#isUnread && this.#isAtEnd()) void this.#chat.draw() // it may be read now
  }

  #offerEnd() {
    const isAtEnd = this.#isAtEnd()
    if (this.#toEndButton.hidden !== isAtEnd) this.#toEndButton.hidden = isAtEnd
  }

  /** What stands at the end is read, while somebody looks. */
  async #read(conversation, messages) {
    const newest = messages.findLast((each) => !each.is_own && each.seq)
    const isSeen = document.visibilityState === 'visible' && document.hasFocus() && this.#isAtEnd()
    if (!newest || !isSeen || newest.seq <= conversation.read_seq || this.#marked === newest.key) return
    this.#marked = newest.key
    await this.#chat.attemptQuietly((device) =>
      device.act({ type: 'Read', conversation: conversation.key, message: newest.key }),
    )
  }

  // - what one does

  /** Whether it is kept. */
  async #send(text, { reply, edit }) {
    const conversation = this.#chat.open
    const isKept = await this.#act(
      edit
        ? { type: 'EditMessage', message: edit.key, text }
        : { type: 'SendMessage', text, reply_to: reply?.key ?? '' },
    )
    if (isKept && !edit) this.#newFrom.set(conversation, '')
    if (isKept) void this.#chat.draw().then(() => this.#toEnd())
    return isKept
  }

  #keys(event) {
    if (event.key === 'Escape') this.#composer.focus()
    else moveByKeys(event)
  }

  #deeds() {
    return {
      react: (message, reaction) =>
        void this.#react(
          message,
          reaction,
          !message.reactions.some((each) => each.reaction === reaction && each.users.includes(this.#chat.me)),
        ),
      reply: (message) => this.#composer.reply(message),
      edit: (message) => this.#composer.edit(message),
      remove: (message) => void this.#act({ type: 'DeleteMessage', message: message.key }),
      again: ({ local }) => void this.#again(local),
      dismiss: ({ local }) => void this.#dismiss(local),
      copy: ({ text }) => void navigator.clipboard.writeText(text).catch(() => {}),
    }
  }

  #react(message, reaction, isWished) {
    return this.#act({ type: isWished ? 'AddReaction' : 'RemoveReaction', message: message.key, reaction })
  }

  #act(its) {
    return this.#chat.attemptQuietly((device) => device.act({ conversation: this.#chat.open, ...its }))
  }

  #again(local) {
    return this.#chat.attemptQuietly((device) => device.again(local))
  }

  #dismiss(local) {
    return this.#chat.attemptQuietly((device) => device.dismiss(local))
  }
}
