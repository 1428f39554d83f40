/** The conversation that is shown: its messages, where one is in them, and what one does there. */

import { Composer } from './composer.js'
import { people } from './dialogs.js'
import { announce, h, icon, iconButton } from './dom.js'
import { concerns } from './known.js'
import { titleOf } from './list.js'
import { openMenu } from './menu.js'
import { line } from './plain.js'
import { Span } from './span.js'
import { drawMessages, itemsOf, moveByKeys } from './talk.js'
import { connection, isLost, shown } from './words.js'

const AT_END_PX = 80
const NEAR_PX = 400 // of an edge: what lies beyond it is fetched

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
    { type: 'button', class: 'link earlier', onclick: () => void this.#goOn(() => this.#older()) },
    'Earlier messages',
  )
  #messages = h('ol', { class: 'messages', 'aria-label': 'Messages', onkeydown: (event) => this.#keys(event) })
  #scroll = h('div', { class: 'scroll', onscroll: () => this.#scrolled() }, this.#earlier, this.#messages)
  #new = h('span', { class: 'count' })
  #toEndButton = h(
    'button',
    { type: 'button', class: 'to-end', hidden: true, onclick: () => void this.#goTo('end') },
    icon('down'),
    this.#new,
  )
  #typing = h('p', { class: 'typing', 'aria-live': 'polite' })
  #span
  #shown = [] // the messages
  #wish = '' // older, later or end: where to go with the next drawing
  #isGoing = false
  #hasScrolled = false // meanwhile
  #isStuck = false // what is earlier could not be fetched
  #isSeen = false // the end, on the screen
  #newFrom = new Map() // the first that was unread when it was opened
  #members = new Map() // as they were shown last
  #notes = new Map() // who came and went while this page was open
  #marked = '' // the message up to which this page has said that all is read
  #isUnread = false // something in the conversation that is shown

  /** `chat`: has the device, and says what is `open`. */
  constructor(chat) {
    this.#chat = chat
    this.#span = new Span(chat.device)
    new ResizeObserver(() => this.#isSeen && this.#toEnd()).observe(this.#scroll) // a keyboard comes up
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

  /** `entry`: { conversation, members, typists }. `changed`: as the device says it. */
  async draw({ conversation, members, typists }, changed) {
    const key = conversation.key
    const isOpened = this.#messages.dataset.of !== key
    const wish = this.#wish // another one may come while this one is drawn
    this.#wish = ''
    if (isOpened || wish || concerns(changed, conversation)) {
      await this.#look(conversation, isOpened, wish)
      if (this.#chat.open !== key) return
      this.#shown = this.#span.messages.map((each) => ({ ...each, is_own: each.author === this.#chat.me }))
      this.#noteMembers(key, members)
      this.#noteNew(conversation, this.#shown)
    }
    const goesToEnd = wish === 'end' || (this.#isAtEnd() && !this.#span.hasNewer)
    const place = this.#place()
    this.#title.textContent = titleOf(conversation, members, this.#chat.me)
    this.#about.textContent = this.#wordsAbout(conversation, members)
    this.#earlier.hidden = !this.#span.hasOlder
    this.#drawTyping(typists)
    const notes = (!this.#span.hasNewer && this.#notes.get(key)) || []
    const items = itemsOf({ messages: this.#shown, notes, newFrom: this.#newFrom.get(key) })
    drawMessages(this.#messages, items, this.#context(members))
    if (isOpened) this.#opened(key)
    else if (goesToEnd) this.#toEnd()
    else this.#keep(place)
    this.#isUnread = conversation.unread > 0
    this.#offerEnd(conversation.unread)
    await this.#read(conversation)
  }

  async #look(conversation, isOpened, wish) {
    const span = this.#span
    if (isOpened) span.open(conversation)
    else if (wish === 'older') await span.older()
    else if (wish === 'later') span.later()
    else if (wish === 'end' || this.#isAtVeryEnd()) span.follow()
    else span.hold()
    await span.read(conversation)
  }

  /** Another conversation is going to be drawn. */
  open(before, key) {
    this.#newFrom.delete(before)
    this.#messages.dataset.of = ''
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
    this.#isStuck = false
    this.#composer.open(key)
    const first = this.#messages.querySelector('.new')
    if (first) first.scrollIntoView({ block: 'center' })
    else this.#toEnd()
  }

  /** From this browser, and then from the host. */
  async #older() {
    const { open } = this.#chat
    const isHere = this.#span.hasOlderHere || (await this.#chat.attemptQuietly((device) => device.older(open)))
    this.#isStuck = !isHere
    await this.#goTo('older')
  }

  #goTo(where) {
    this.#wish = where
    return this.#chat.draw()
  }

  #isAtEnd() {
    const { scrollHeight, scrollTop, clientHeight } = this.#scroll
    return scrollHeight - scrollTop - clientHeight < AT_END_PX
  }

  /** Of all that was said, and not only because there is no more on the screen. */
  #isAtVeryEnd() {
    return this.#isAtEnd() && !this.#span.hasNewer && this.#scroll.scrollHeight > this.#scroll.clientHeight
  }

  #toEnd() {
    const scroll = this.#scroll
    scroll.scrollTop = scroll.scrollHeight
  }

  /** The first message that one sees, and where. */
  #place() {
    const top = this.#scroll.getBoundingClientRect().top
    for (const element of this.#messages.querySelectorAll('.message')) {
      const its = element.getBoundingClientRect()
      if (its.bottom > top) return { key: element.dataset.key, top: its.top }
    }
    return null
  }

  /** What one looks at stays where it is, whatever came or went above it. */
  #keep(place) {
    const element = place && this.#messages.querySelector(`[data-key="${CSS.escape(place.key)}"]`)
    if (element) this.#scroll.scrollTop += element.getBoundingClientRect().top - place.top
  }

  #scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.#scroll
    this.#offerEnd()
    if (this.#isUnread && this.#isAtEnd()) void this.#chat.draw() // it may be read now
    if (scrollTop < NEAR_PX && this.#span.hasOlder && !this.#isStuck) void this.#goOn(() => this.#older())
    else if (scrollHeight - scrollTop - clientHeight < NEAR_PX && this.#span.hasNewer) {
      void this.#goOn(() => this.#goTo('later'))
    }
  }

  /** One after the other. Who has scrolled on meanwhile need not do it again. */
  async #goOn(go) {
    this.#hasScrolled = this.#isGoing
    if (this.#isGoing) return
    this.#isGoing = true
    await go().finally(() => (this.#isGoing = false))
    if (this.#hasScrolled) this.#scrolled()
  }

  /** `unread`: messages; as many as before, if it is left out. */
  #offerEnd(unread) {
    this.#isSeen = this.#isAtEnd() && !this.#span.hasNewer
    this.#toEndButton.hidden = this.#isSeen
    if (unread === undefined) return
    const count = unread >= 100 ? '99+' : unread
    this.#new.textContent = unread ? `${count} new` : ''
    this.#toEndButton.setAttribute('aria-label', `To the newest message${unread ? `, ${count} new` : ''}`)
  }

  /** What stands at the end is read, while somebody looks. */
  async #read(conversation) {
    const newest = this.#shown.findLast((each) => !each.is_own && each.seq)
    const isLookedAt = document.visibilityState === 'visible' && document.hasFocus()
    if (!newest || !isLookedAt || !this.#isSeen || newest.seq <= conversation.read_seq || this.#marked === newest.key)
      return
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
    if (isKept) void this.#goTo('end')
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
