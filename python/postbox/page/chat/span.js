/** The part of a conversation that is on the screen: the newest messages, as long as somebody is at its end; else
 * those from one message on, so that what comes pushes nothing away. However much was said, it is not longer than
 * MOST. */

const PAGE = 50
const MOST = 150
const BEFORE_UNREAD = 20 // that are read already, so that one sees where one was

export class Span {
  messages = [] // the oldest first
  hasOlderHere = false // and not only with the host
  hasOlder = false
  hasNewer = false
  #device
  #key = ''
  #limit = PAGE
  #isHeld = false // at its first message

  constructor(device) {
    this.#device = device
  }

  /** Of another conversation, with the first that was not read, if there are not too many. */
  open({ key, unread }) {
    this.#key = key
    this.#limit = Math.min(Math.max(PAGE, unread + BEFORE_UNREAD), MOST)
    this.#isHeld = false
    this.messages = []
  }

  hold() {
    this.#isHeld = true
  }

  /** Goes with the end, and to it. */
  follow() {
    this.#isHeld = false
    this.#limit = PAGE
  }

  /** A page further up, of what is here. */
  async older() {
    const page = await this.#page({ before: this.messages[0]?.key ?? '', limit: PAGE })
    this.messages.unshift(...page)
    this.hold()
  }

  /** A page further down. */
  later() {
    this.messages.splice(0, Math.min(PAGE, this.messages.length - 1))
    this.hold()
  }

  /** As things are now. */
  async read(conversation) {
    this.messages = await this.#found()
    const [first, last] = [this.messages[0], this.messages.at(-1)]
    this.hasOlderHere = Boolean(first) && (await this.#page({ before: first.key, limit: 1 })).length > 0
    this.hasOlder = this.hasOlderHere || conversation.has_older
    this.hasNewer = this.#isHeld && this.messages.length === MOST && last.key !== conversation.newest?.key
  }

  /** If the first is gone, from the next one on. */
  async #found() {
    for (const { key } of this.#isHeld ? this.messages : []) {
      const found = await this.#page({ from: key, limit: MOST })
      if (found.length) return found
    }
    this.#isHeld = false
    return this.#page({ limit: this.#limit })
  }

  #page(its) {
    return this.#device.messages(this.#key, its)
  }
}
