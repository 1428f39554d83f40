/** The conversations as the page knows them. What the device says has changed is read again, and nothing else: what a
 * message costs does not depend on how many conversations there are. */

const IN_ONE = ['conversation', 'message', 'members'] // what changes of a conversation

/** Of a 'change': as if all had. */
export const EVERYTHING = new Map(['conversation', 'user', 'queue', 'invites'].map((what) => [what, new Set([''])]))

/** Whether `changed` says something of what that conversation shows. */
export function concerns(changed, { key, uuid }) {
  const names = IN_ONE.flatMap((what) => [...(changed.get(what) ?? [])])
  return changed.has('user') || names.some((name) => ['', key, uuid].includes(name))
}

export class Known {
  #device
  #entries = new Map() // by key
  #count = 0

  constructor(device) {
    this.#device = device
  }

  /** The one in which something was said last first: { conversation, members, stamp }, the last of which is another
   * one each time that it was read. */
  list() {
    const newest = ({ conversation: a }, { conversation: b }) => b.newest_ms - a.newest_ms || (a.key < b.key ? -1 : 1)
    return [...this.#entries.values()].sort(newest)
  }

  /** `changed`: the detail of a 'change'. Throws StoreFailed. */
  async take(changed) {
    const names = new Set(IN_ONE.flatMap((what) => [...(changed.get(what) ?? [])]))
    const users = changed.get('user') ?? new Set()
    for (const { conversation, members } of this.#entries.values()) {
      if (users.size && (users.has('') || members.some(({ user }) => users.has(user)))) names.add(conversation.key)
    }
    if (names.has('')) return this.#readAll()
    const hasMembers = (name) => !['conversation', 'members'].some((what) => changed.get(what)?.has(name))
    for (const name of names) await this.#readOne(name, !users.size && hasMembers(name))
  }

  async #readAll() {
    const conversations = await this.#device.conversations()
    const members = await Promise.all(conversations.map((each) => this.#device.members(each.key)))
    this.#entries.clear()
    conversations.forEach((each, at) => this.#put(each, members[at]))
  }

  /** By either of its names. `hasMembers`: they are as they were. */
  async #readOne(name, hasMembers) {
    const conversation = await this.#device.conversation(name)
    if (!conversation) return this.#drop(name)
    const known = hasMembers && this.#entries.get(conversation.key)?.members
    this.#put(conversation, known || (await this.#device.members(name)))
  }

  #put(conversation, members) {
    this.#entries.set(conversation.key, { conversation, members, stamp: ++this.#count })
  }

  #drop(name) {
    for (const [key, { conversation }] of this.#entries) {
      if ([key, conversation.uuid].includes(name)) this.#entries.delete(key)
    }
  }
}
