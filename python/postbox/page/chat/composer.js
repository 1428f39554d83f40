/** Where one writes: a message, a reply or an edit. What is half written stays with its conversation,
 * whatever happens to the page. */

import { h, icon, iconButton } from './dom.js'
import { line } from './plain.js'

/** What is half written, by conversation. Where a browser keeps nothing, it is gone with the page. */
const drafts = {
  get(key) {
    try {
      return localStorage.getItem(`postbox draft ${key}`) ?? ''
    } catch {
      return ''
    }
  },
  put(key, text) {
    try {
      if (text) localStorage.setItem(`postbox draft ${key}`, text)
      else localStorage.removeItem(`postbox draft ${key}`)
    } catch {
      // there is no room
    }
  },
}
const NOTHING = { reply: null, edit: null }

export class Composer {
  #key = '' // of the conversation
  #about = NOTHING
  #field = h('textarea', { rows: 1, 'aria-label': 'Write a message', placeholder: 'Write a message' })
  #strip = h('div', { class: 'strip', hidden: true })
  #send
  #typing
  #toMessages
  #keeping = '' // what is on its way to the disk

  /** `send(text, { reply, edit })` keeps it, or throws; `typing(isOver)`; `toMessages()`: the keys go
   * there. */
  constructor({ send, typing, toMessages }) {
    this.#send = send
    this.#typing = typing
    this.#toMessages = toMessages
    const button = h('button', { class: 'round send', 'aria-label': 'Send', title: 'Send' }, icon('send'))
    this.element = h('form', { class: 'compose' }, this.#strip, this.#field, button)
    this.element.addEventListener('submit', (event) => void this.#submit(event))
    this.#field.addEventListener('input', () => this.#written())
    this.#field.addEventListener('keydown', (event) => this.#keys(event))
  }

  focus() {
    this.#field.focus()
  }

  /** Goes to a conversation, and to what was half written there. */
  open(key) {
    if (key === this.#key) return
    this.#key = key
    this.#begin(NOTHING, drafts.get(key))
  }

  reply(message) {
    this.#begin({ reply: message, edit: null }, this.#about.edit ? this.#draft() : this.#field.value)
    this.focus()
  }

  edit(message) {
    this.#begin({ reply: null, edit: message }, message.text)
    this.focus()
  }

  /** For good: nothing is kept any more. */
  forget() {
    this.#key = ''
    this.#begin(NOTHING, '')
  }

  #draft() {
    return drafts.get(this.#key)
  }

  #begin(about, text) {
    this.#about = about
    this.#field.value = text
    this.#drawStrip()
    this.#grow()
  }

  #drop() {
    this.#begin(NOTHING, this.#about.edit ? this.#draft() : this.#field.value)
    this.focus()
  }

  async #submit(event) {
    event.preventDefault()
    const [text, key, about] = [this.#field.value.trim(), this.#key, this.#about]
    const its = `${key} ${text}`
    if (!text || !key || this.#keeping === its) return // Enter was held down
    this.#keeping = its
    const isKept = await this.#send(text, about)
    if (this.#keeping === its) this.#keeping = ''
    if (!isKept || key !== this.#key || this.#field.value.trim() !== text) return
    if (!about.edit) drafts.put(key, '')
    this.#begin(NOTHING, about.edit ? this.#draft() : '')
  }

  #keys(event) {
    const hasKeys = matchMedia('(hover: hover)').matches // else Enter is the only way to a new line
    const isChoosing = event.isComposing || event.keyCode === 229 // a word, by Enter; the latter says so in Safari
    if (event.key === 'Enter' && !event.shiftKey && !isChoosing && hasKeys) this.element.requestSubmit()
    else if (event.key === 'Escape' && this.#about !== NOTHING) this.#drop()
    else if (event.key === 'ArrowUp' && !this.#field.value) this.#toMessages()
    else return
    event.preventDefault()
  }

  #written() {
    this.#grow()
    if (!this.#key || this.#about.edit) return
    const { value } = this.#field
    drafts.put(this.#key, value)
    this.#typing(!value)
  }

  #grow() {
    this.#field.style.height = 'auto'
    this.#field.style.height = `${Math.min(this.#field.scrollHeight, innerHeight / 3)}px`
  }

  #drawStrip() {
    const { reply, edit } = this.#about
    const its = reply ?? edit
    this.#strip.hidden = !its
    if (!its) return this.#strip.replaceChildren()
    const whose = its.is_own ? 'yourself' : line(its.author_name)
    this.#strip.replaceChildren(
      h('p', {}, h('b', {}, edit ? 'Editing' : `Reply to ${whose}`), ` ${line(its.text).slice(0, 140)}`),
      iconButton('close', edit ? 'Leave it as it was' : 'No reply', () => this.#drop()),
    )
  }
}
