/**
 * One device of a postbox user, in a browser: what a chat is written on.
 *
 * This file stands alone: copy it. It speaks Connect in JSON to a host (docs/protocol/clients.md), keeps what the device
 * knows in IndexedDB, and needs nothing but a browser of 2024 or later and a secure context (https, or localhost).
 *
 *     import { openDevice } from './sync.js'
 *     const device = await openDevice({ url: 'https://chat.example.org:7433', token })
 *     device.addEventListener('change', async () => show(await device.conversations()))
 *     await device.act({ type: 'SendMessage', conversation, text: 'Noodles?' })
 *
 * docs/chat-page.md has a whole page, and what each call gives; class Device, at the end, is all there is.
 *
 * - Every call is answered out of the database, in a tunnel too. What the user does is on disk when `act` resolves, is
 *   seen at once, and reaches the host once and in order, after whatever crash.
 * - What others do comes by itself: 'change' says what changed; ask for what you show.
 * - Any number of tabs may have the same database open. One of them, the holder of a Web Lock, talks to the host; the
 *   others read and write the database and hear of it. When it is closed, another takes its place.
 * - 401 keeps the queue. A refusal settles one event, and holds up nothing behind it. A restored host is offered again
 *   what it has lost.
 *
 * The rules are those of the Python library (python/postbox/client), by the same names; the data has its spelling, too,
 * since both run the same vectors (tests/data/conformance/clients).
 *
 * From the top; all but the last six are pure functions and values:
 *
 *     names               uuids, which follow from names; SHA-256, base64
 *     what goes up        acts, and their events; what has no form is refused here
 *     what comes down     a stream's frames as changes; what is news, what is missing
 *     answers             what a host says to a batch
 *     the machine         when to connect, to offer, to wait
 *     what is seen        the queue on top of what the stream said
 *     the database        IndexedDB: one transaction, all or nothing
 *     what changes do     each change, as it is written down
 *     the queue           rows from being made to being kept
 *     looks               conversations, messages and people, as they are shown
 *     the wire            requests, streams and what can be wrong with them
 *     what runs           the one tab that talks to the host
 *     the device          what an app holds
 */

// -- names ------------------------------------------------------------------------------------------

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i
const NIL = '00000000-0000-0000-0000-000000000000'

export const isUuid = (text) => UUID.test(text) && text !== NIL

/** Of the name that a user signs in with: it follows, so it is known before the host has said it. */
export const userUuid = (name) => derivedUuid('postbox user\0' + name)

/** Under which what was refused as `uuid` goes up again: the host would refuse that for ever. */
const renewedUuid = (uuid) => derivedUuid('postbox again\0' + uuid)

function derivedUuid(text) {
  return uuidOf(sha256(new TextEncoder().encode(text)).slice(0, 16), 8)
}

export function newUuid() {
  return uuidOf(crypto.getRandomValues(new Uint8Array(16)), 4)
}

function uuidOf(bytes, version) {
  bytes[6] = (bytes[6] & 0x0f) | (version << 4)
  bytes[8] = (bytes[8] & 0x3f) | 0x80
  const digits = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
  return digits.replace(/(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')
}

/** FIPS 180-4. The browser's own is asynchronous, which a name in the middle of a view cannot be. */
function sha256(bytes) {
  const padded = new Uint8Array(((bytes.length + 72) >> 6) << 6)
  padded.set(bytes)
  padded[bytes.length] = 0x80
  const words = new DataView(padded.buffer)
  words.setUint32(padded.length - 8, Math.floor(bytes.length / 2 ** 29))
  words.setUint32(padded.length - 4, bytes.length << 3)
  const state = Uint32Array.from(SHA256.begin)
  for (let at = 0; at < padded.length; at += 64) digest(state, words, at)
  const out = new DataView(new ArrayBuffer(32))
  state.forEach((word, i) => out.setUint32(4 * i, word))
  return new Uint8Array(out.buffer)
}

function digest(state, words, at) {
  const turn = (x, n) => (x >>> n) | (x << (32 - n))
  const w = new Uint32Array(64)
  for (let i = 0; i < 16; i++) w[i] = words.getUint32(at + 4 * i)
  for (let i = 16; i < 64; i++) {
    const [x, y] = [w[i - 15], w[i - 2]]
    const [s, t] = [turn(x, 7) ^ turn(x, 18) ^ (x >>> 3), turn(y, 17) ^ turn(y, 19) ^ (y >>> 10)]
    w[i] = w[i - 16] + s + w[i - 7] + t
  }
  let [a, b, c, d, e, f, g, h] = state
  for (let i = 0; i < 64; i++) {
    const s = turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)
    const x = (h + s + ((e & f) ^ (~e & g)) + SHA256.round[i] + w[i]) | 0
    const y = (turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + ((a & b) ^ (a & c) ^ (b & c))
    ;[h, g, f, e, d, c, b, a] = [g, f, e, (d + x) | 0, c, b, a, (x + y) | 0]
  }
  ;[a, b, c, d, e, f, g, h].forEach((word, i) => (state[i] += word))
}

/** The first 32 bits of the fractions of the roots of the first primes: square ones, and cubic. */
const SHA256 = (() => {
  const primes = []
  for (let n = 2; primes.length < 64; n++) if (primes.every((p) => n % p)) primes.push(n)
  const bits = (root) => ((root - Math.floor(root)) * 2 ** 32) >>> 0
  return { begin: primes.slice(0, 8).map((p) => bits(p ** 0.5)), round: primes.map((p) => bits(Math.cbrt(p))) }
})()

const base64Bytes = (text) => Uint8Array.from(atob(text), (char) => char.charCodeAt(0))
const hexOf = (text) => Array.from(base64Bytes(text || ''), (b) => b.toString(16).padStart(2, '0')).join('')
const textBytes = (text) => new TextEncoder().encode(text).length

// -- what goes up -----------------------------------------------------------------------------------
// What a user does is an act, as { type: 'SendMessage', conversation, text }; ACTS has all of them.
// It names conversations and messages by the host's uuid, or by the local one of what this device
// made, which may still be in the queue. `based_on`: the last change of the same thing that the user
// knew of; where there is a newer one the act is refused.

export const MAX_PICTURE_BYTES = 65_536
const MAX_EVENT_BYTES = 65_536
const MAX_BATCH_EVENTS = 100
const MAX_BATCH_BYTES = 2 ** 20

/** An act has a form that no host takes; the text says which, for people. */
export class NoSuchAct extends Error {}

/** Of each act: the content of its event, what it must say, what it is about, and how its form is
 * checked. `event` of an act is undone by `act` of an event. */
const ACTS = {
  CreateConversation: {
    kind: 'conversationCreated',
    content: (act) => ({ name: act.name, members: (act.members ?? []).map(userNamed) }),
    act: (said) => ({ name: text(said.name), members: (said.members ?? []).map((u) => u.uuid || u.name) }),
    check: (act) => [checkName("the conversation's name", act.name), checkMembers(act.members ?? [])],
  },
  RenameConversation: {
    kind: 'conversationNameChanged',
    content: (act) => ({ conversationUuid: act.conversation, newName: act.name }),
    act: (said) => ({ name: text(said.newName) }),
    check: (act) => checkName("the conversation's name", act.name),
  },
  AddMember: {
    kind: 'memberJoined',
    target: (act) => userUuidOf(act.user),
    content: (act) => ({
      conversationUuid: act.conversation,
      user: userNamed(act.user),
      role: act.is_owner ? 'OWNER' : 'MEMBER',
      history: act.history ?? false,
    }),
    act: (said) => ({
      user: said.user.uuid || said.user.name,
      is_owner: said.role === 'OWNER',
      history: said.history ?? false,
    }),
    check: (act) => checkUser(act.user),
  },
  RemoveMember: {
    kind: 'memberLeft',
    target: (act) => act.user ?? '',
    content: (act) => ({ conversationUuid: act.conversation, userUuid: act.user ?? '' }),
    act: (said) => ({ user: text(said.userUuid) }),
    check: (act) => checkUuid('the user', act.user ?? '', false),
  },
  SendMessage: {
    kind: 'sendingNewMessage',
    content: (act, local) => ({ coredataLocalUuid: local, message: messageOf(act, act.reply_to) }),
    act: (said) => ({ text: text(said.message.text), reply_to: text(said.message.replyToUuid) }),
    check: (act) => checkSaid(act.text),
  },
  EditMessage: {
    kind: 'messageEdited',
    target: (act) => act.message,
    content: (act) => ({ uuid: act.message, message: messageOf(act, '') }),
    act: (said) => ({ message: said.uuid, text: text(said.message.text) }),
    check: (act) => checkSaid(act.text),
  },
  DeleteMessage: {
    kind: 'messageDeleted',
    target: (act) => act.message,
    content: (act) => ({ uuid: act.message }),
    act: (said) => ({ message: said.uuid }),
  },
  AddReaction: {
    kind: 'reactionAdded',
    target: (act) => act.message,
    content: (act) => ({ uuid: act.message, reaction: act.reaction }),
    act: (said) => ({ message: said.uuid, reaction: said.reaction }),
    check: (act) => checkReaction(act.reaction),
  },
  RemoveReaction: {
    kind: 'reactionRemoved',
    target: (act) => act.message,
    content: (act) => ({ uuid: act.message, reaction: act.reaction }),
    act: (said) => ({ message: said.uuid, reaction: said.reaction }),
    check: (act) => checkReaction(act.reaction),
  },
  Read: {
    kind: 'readNewMessage',
    target: (act) => act.message,
    content: (act) => ({ uuid: act.message }),
    act: (said) => ({ message: said.uuid }),
  },
  SetDisplayName: {
    kind: 'displayNameChanged',
    content: (act) => ({ newName: act.name }),
    act: (said) => ({ name: text(said.newName) }),
    check: (act) => checkName('the name', act.name),
  },
  SetPicture: {
    kind: 'profilePictureChanged',
    content: (act) => ({ pngImage: act.png }),
    act: (said) => ({ png: text(said.pngImage) }),
    check: (act) => checkPng(act.png),
  },
  AnswerInvite: {
    kind: 'inviteDecided',
    target: (act) => act.invite,
    content: (act) => ({ host: act.host, invite: act.invite, accepted: act.accepted }),
    act: (said) => ({ host: text(said.host), invite: text(said.invite), accepted: said.accepted ?? false }),
    check: (act) => [checkText('the host', act.host), checkText('the invite', act.invite)],
  },
}
const ACT_OF_KIND = Object.fromEntries(Object.entries(ACTS).map(([type, its]) => [its.kind, type]))

const text = (value) => value ?? ''
const userNamed = (member) => (isUuid(member) ? { uuid: member } : { name: member })
const userUuidOf = (member) => (isUuid(member) ? member.toLowerCase() : userUuid(member))
const messageOf = (act, replyTo) => ({
  text: act.text,
  conversationUuid: act.conversation,
  replyToUuid: replyTo ?? '',
})

/** What a user does as a row of the queue. `local`: a new uuid. Throws NoSuchAct. */
export function outgoing(act, local, nowMs) {
  const its = ACTS[act.type]
  if (!its) throw new NoSuchAct(`${act.type} is nothing that a user can do here`)
  check(act, its)
  const conversation = act.type === 'CreateConversation' ? local : text(act.conversation)
  const event = { uuid: local, [its.kind]: its.content(act, local), clientTime: new Date(nowMs).toISOString() }
  if (act.conversation) event.conversationUuid = act.conversation
  if (act.based_on) event.basedOnUuid = act.based_on
  return { local, kind: its.kind, conversation, target: its.target ? its.target(act) : '', event }
}

/** What the event of a row says. */
export function actOf(event) {
  const kind = Object.keys(event).find((name) => name in ACT_OF_KIND)
  const type = ACT_OF_KIND[kind]
  const act = { type, ...ACTS[type].act(event[kind]) }
  if (event.conversationUuid) act.conversation = event.conversationUuid
  if (event.basedOnUuid) act.based_on = event.basedOnUuid
  return act
}

/** The same event, where it and what it refers to are called otherwise. `names`: a Map. */
function renamed(event, names) {
  const changed = (uuid) => names.get(uuid) ?? uuid
  const act = actOf(event)
  for (const field of ['conversation', 'message', 'reply_to', 'based_on']) {
    if (act[field]) act[field] = changed(act[field])
  }
  return outgoing(act, changed(event.uuid), Date.parse(event.clientTime)).event
}

const withAct = (event, changes) =>
  outgoing({ ...actOf(event), ...changes }, event.uuid, Date.parse(event.clientTime)).event

function check(act, its) {
  for (const field of ['conversation', 'message']) {
    if (NAMES_NEEDED[field].has(act.type)) checkUuid(`the ${field}`, text(act[field]), true)
  }
  for (const field of ['reply_to', 'based_on']) checkUuid(field, text(act[field]), false)
  its.check?.(act)
}

const NAMES_NEEDED = {
  conversation: new Set(
    Object.keys(ACTS).filter(
      (type) => !['CreateConversation', 'SetDisplayName', 'SetPicture', 'AnswerInvite'].includes(type),
    ),
  ),
  message: new Set(['EditMessage', 'DeleteMessage', 'AddReaction', 'RemoveReaction', 'Read']),
}

function checkUuid(what, name, isNeeded) {
  if (!isUuid(name) && (name || isNeeded)) {
    throw new NoSuchAct(`${what} is "${name.slice(0, 80)}", which is no uuid in 36 characters`)
  }
}

function checkMembers(members) {
  if (members.length > 100) {
    throw new NoSuchAct(`${members.length} members: a conversation begins with at most 100, and more can be added then`)
  }
  members.forEach(checkUser)
}

function checkUser(name) {
  if (!isUuid(name) && !/^[^\s:@\p{Cc}\p{Cs}]{1,64}$/u.test(name)) {
    throw new NoSuchAct(`"${name.slice(0, 80)}" is no name: 1 to 64 characters, without "@", ":" and spaces`)
  }
}

function checkText(what, given) {
  if (/\p{Cs}/u.test(given)) throw new NoSuchAct(`${what} has half of an emoji in it`)
}

function checkName(what, name) {
  checkText(what, name)
  const length = [...name].length
  if (length > 256 || /\p{Cc}/u.test(name)) {
    throw new NoSuchAct(`${what} has ${length} characters: at most 256, and no line breaks`)
  }
}

function checkReaction(reaction) {
  checkText('a reaction', reaction)
  if (!reaction.trim() || textBytes(reaction) > 64 || /\p{Cc}/u.test(reaction)) {
    throw new NoSuchAct('a reaction has 1 to 64 bytes')
  }
}

function checkSaid(said) {
  checkText('the message', said)
  if (!said) throw new NoSuchAct('the message has no text')
  const size = textBytes(said) + 512 // names and times beside it have less than 300
  if (size > MAX_EVENT_BYTES) throw new NoSuchAct(`the message has ${size} bytes: at most ${MAX_EVENT_BYTES}`)
}

function checkPng(png) {
  const bytes = base64Bytes(png)
  if (bytes.length > MAX_PICTURE_BYTES) {
    throw new NoSuchAct(`the picture has ${bytes.length} bytes: at most ${MAX_PICTURE_BYTES}`)
  }
  if (png && !png.startsWith('iVBORw0KGgo')) throw new NoSuchAct('the picture is no PNG')
}

// -- what comes down --------------------------------------------------------------------------------

/** The device can prove that it has missed something: it connects again, from where it is. */
export class Lost extends Error {}

const PUT_BACK = ['EPOCH_CHANGED', 'CURSOR_AHEAD']
const CONTENTS = new Set([
  ...['profilePictureChanged', 'displayNameChanged', 'conversationNameChanged', 'conversationCreated'],
  ...['memberJoined', 'memberLeft', 'sendingNewMessage', 'sentNewMessage', 'readNewMessage', 'newMessage'],
  ...['messageEdited', 'messageDeleted', 'reactionAdded', 'reactionRemoved', 'deliveredUpTo', 'erased'],
  ...['guildEntered', 'guildExited', 'inviteReceived', 'inviteDecided', 'userIsTyping', 'userIsConnected'],
  ...['eventRefused', 'snapshotBegin', 'snapshotEnd', 'caughtUp', 'goAway'],
])

const kindOf = (event) => Object.keys(event).find((name) => CONTENTS.has(name) && event[name] !== null)
const numberOf = (value) => Number(value ?? 0) // 64-bit numbers are texts in proto3's JSON
const msOf = (time) => (time ? Date.parse(time) : null)
const NOWHERE = { token: '', uuid: '', epoch: '' }

/** Takes in one stream of a device, from the place that was committed last: whether a frame goes on
 * from the one before, which of its events are news, and what they change. `user`: whose device it
 * is; `heads`: of the conversations that it is in, the newest number that the device has.
 *
 * Whoever cannot commit what it gave closes the stream, and makes a new one of what is committed. */
export class Reader {
  #user
  #place
  #heads // of the snapshot, in the middle of one
  #last
  #previous = null // the event that the next frame comes behind
  #snapshot = null
  #told = [] // of the own, by the snapshot
  #isFirst = true
  #isOutdated = false // the device knows another log than the host's

  constructor(user, place, heads) {
    this.#user = user
    this.#place = { ...NOWHERE, ...place }
    this.#heads = { ...heads }
    this.#last = this.#place.uuid
  }

  /** Of a frame, an Event in JSON: its `changes` and `place` are one commit, then `heard` is for the
   * machine; `passing` is stored nowhere. Throws Lost, and is of no use for this stream then. */
  take(frame) {
    const event = parsed(frame)
    this.#checkChain(event)
    const several = event.events?.length ? event.events : [event]
    const changes = several.flatMap((each) => [...this.#one(each)])
    if (this.#isOutdated) {
      const heard = { ...heardOf([], this.#place), go_away: 'EPOCH_CHANGED' }
      return { changes: [], place: this.#place, passing: [], heard }
    }
    if (!this.#snapshot) {
      const token = event.resumeToken || this.#place.token
      this.#place = { ...this.#place, token, uuid: this.#last }
    }
    if (this.#isFirst && changes[0]?.type !== 'SnapshotBegan') changes.unshift({ type: 'SnapshotDropped' })
    this.#isFirst = false
    const passing = several.flatMap((each) => [...passingOf(each)])
    return { changes, place: this.#place, passing, heard: heardOf(several, this.#place) }
  }

  /** The first frame of a stream need not say what it comes behind. */
  #checkChain(event) {
    const said = text(event.previousUuid)
    const behind = this.#previous ?? (said ? this.#last : null)
    if (event.resumeToken && behind !== null && said !== behind) {
      throw new Lost(`a frame comes behind ${said || 'no event'}, and the one before it ended with ${behind || 'none'}`)
    }
    if (event.resumeToken && this.#previous === null) this.#previous = said
  }

  *#one(event) {
    const kind = kindOf(event)
    if (kind === 'snapshotBegin') yield this.#begin(event.snapshotBegin)
    else if (kind === 'snapshotEnd') yield* this.#end(text(event.uuid))
    else if (kind === 'caughtUp') yield* this.#caughtUp(hexOf(event.caughtUp.epoch))
    else if (['sendingNewMessage', 'sentNewMessage', 'eventRefused'].includes(kind))
      return // no stream has them
    else if (event.uuid || event.backfill) yield* this.#stored(event, kind)
  }

  #begin({ epoch, code }) {
    this.#snapshot = { type: 'SnapshotBegan', epoch: hexOf(epoch), code: text(code) }
    this.#heads = {}
    this.#told = []
    this.#last = this.#previous = ''
    return this.#snapshot
  }

  /** What of its own the device is told by the snapshot need not be sent again. */
  *#end(uuid) {
    const snapshot = this.#snapshot
    if (!snapshot) throw new Lost('a snapshot ends that has not begun')
    this.#snapshot = null
    const before = this.#place.epoch
    this.#place = { ...NOWHERE, epoch: snapshot.epoch }
    this.#last = this.#previous = uuid
    yield { type: 'SnapshotEnded' }
    const isAnother = before !== '' && before !== snapshot.epoch
    // A device that had a place and named none gave it up: what came did not go on from there.
    if (isAnother || PUT_BACK.includes(snapshot.code) || (before && snapshot.code === 'CURSOR_NONE')) {
      yield { type: 'KeptAgain' }
    }
    yield* this.#told
  }

  /** Of another log than the last snapshot's: what stands before it may be new. */
  *#caughtUp(epoch) {
    const known = this.#place.epoch
    if (epoch && known && known !== epoch) {
      this.#isOutdated = true
      this.#place = { ...NOWHERE, epoch: known }
      return
    }
    this.#place = { ...this.#place, epoch: epoch || known }
    yield { type: 'CaughtUp' }
  }

  *#stored(event, kind) {
    const conversation = text(event.conversationUuid)
    const letsIn = kind === 'memberJoined' && event.memberJoined.user?.uuid === this.#user && !event.backfill
    if (!event.backfill) {
      // What belongs to a joining comes behind it, and if that is cut off, it comes once more.
      if (this.#isFirst && event.uuid === this.#last && letsIn) delete this.#heads[conversation]
      this.#last = this.#previous = event.uuid
    }
    if (event.clientUuid) yield* this.#settled(event)
    const isOfUser = kind === 'displayNameChanged' || kind === 'profilePictureChanged'
    if (!conversation || isOfUser) yield* changesOf(event, kind)
    else if (!(conversation in this.#heads)) yield* this.#comesIn(event, kind, letsIn)
    else if (this.#isNews(event)) yield* this.#news(event, kind)
  }

  /** Whatever else there is of a conversation that the user is not in is not for it. */
  *#comesIn(event, kind, letsIn) {
    if (letsIn) yield { type: 'ConversationBegun', conversation: event.conversationUuid }
    else if (kind !== 'conversationCreated') return
    this.#heads[event.conversationUuid] = 0
    yield* this.#numbered(event)
    yield* changesOf(event, kind)
  }

  *#news(event, kind) {
    yield* this.#numbered(event)
    if (kind === 'memberLeft' && event.memberLeft.userUuid === this.#user) {
      delete this.#heads[event.conversationUuid]
      const by = text(event.memberLeft.removedByUuid)
      yield { type: 'ConversationForgotten', conversation: event.conversationUuid, by }
    } else yield* changesOf(event, kind)
  }

  #isNews(event) {
    const seq = numberOf(event.conversationSeq)
    return event.backfill || !seq || seq > this.#heads[event.conversationUuid]
  }

  *#numbered(event) {
    const conversation = event.conversationUuid
    const [seq, head] = [numberOf(event.conversationSeq), this.#heads[conversation]]
    if (seq <= head) return
    this.#heads[conversation] = seq
    if (head && seq > head + 1 && !event.backfill) {
      yield { type: 'HoleFound', conversation, after: head, before: seq }
    }
    yield { type: 'Reached', conversation, seq }
  }

  *#settled(event) {
    const settled = { type: 'Settled', local: event.clientUuid.toLowerCase(), uuid: text(event.uuid) }
    if (this.#snapshot) this.#told.push(settled)
    else yield settled
  }
}

function parsed(frame) {
  try {
    const event = typeof frame === 'string' ? JSON.parse(frame) : frame
    if (event === null || typeof event !== 'object' || Array.isArray(event)) throw new Error('it is no event')
    return event
  } catch (error) {
    throw new Lost(`a frame cannot be read: ${error.message}`)
  }
}

function* passingOf(event) {
  if (event.userIsTyping) {
    const { conversationUuid, userUuid: user, ttlMs } = event.userIsTyping
    const conversation = conversationUuid || text(event.conversationUuid)
    yield { type: 'Typing', conversation, user: text(user), ttl_ms: numberOf(ttlMs) }
  } else if (event.userIsConnected) {
    const { userUuid: user, ttlMs } = event.userIsConnected
    yield { type: 'Connected', user: text(user), ttl_ms: numberOf(ttlMs) }
  }
}

function heardOf(events, place) {
  const heard = { place, snapshot: '', is_caught_up: false, go_away: '', reconnect_after_ms: 0 }
  for (const event of events) {
    if (event.snapshotBegin) Object.assign(heard, { snapshot: 'begun', is_caught_up: false })
    if (event.snapshotEnd) heard.snapshot = 'ended'
    if (event.caughtUp) heard.is_caught_up = true
    if (event.goAway) {
      heard.go_away = text(event.goAway.code)
      heard.reconnect_after_ms = numberOf(event.goAway.reconnectAfterMs)
    }
  }
  return heard
}

/** Of frames that were committed at once, what the machine is told. */
function heardOfAll(several) {
  return several
    .map((each) => each.heard)
    .reduceRight((then, first) => ({
      ...then,
      snapshot: then.snapshot || first.snapshot,
      is_caught_up: then.is_caught_up || (first.is_caught_up && then.snapshot !== 'begun'),
      go_away: first.go_away || then.go_away,
      reconnect_after_ms: first.go_away ? first.reconnect_after_ms : then.reconnect_after_ms,
    }))
}

/** What the content of a stored event changes, whatever was known before it. */
function* changesOf(event, kind) {
  yield* changesOfMessage(event, kind)
  const own = CHANGES[kind]
  if (own) yield* own(event[kind], event)
}

/** As far as it is about messages. A kind that is not known, or an application's, which JSON cannot
 * carry, counts as one: it has a number. */
function* changesOfMessage(event, kind) {
  const said = event[kind]
  const its = {
    conversation: text(event.conversationUuid),
    seq: numberOf(event.conversationSeq),
    user: text(event.authorUuid),
  }
  const { conversation, seq, user } = its
  if (kind === undefined) yield foreignCame(event)
  else if (kind === 'newMessage' && said.message) yield messageCame(event)
  else if (kind === 'messageEdited' && said.message) {
    const at_ms = msOf(event.serverTime) ?? 0
    const edited = { text: text(said.message.text), seq, event: text(event.uuid), at_ms, extra: '' }
    yield { type: 'MessageEdited', conversation, message: said.uuid, ...edited }
  } else if (kind === 'messageDeleted') yield { type: 'MessageDeleted', conversation, message: said.uuid, seq }
  else if (kind === 'reactionAdded' || kind === 'reactionRemoved') {
    const type = kind === 'reactionAdded' ? 'ReactionAdded' : 'ReactionRemoved'
    yield { type, conversation, message: said.uuid, user, reaction: said.reaction, seq }
  } else if (kind === 'erased') {
    yield { type: 'NumberErased', conversation, event: text(event.uuid), seq, why: text(said.why) }
  }
}

function messageCame(event) {
  const { coreDataTemporaryUuid, message } = event.newMessage
  return {
    type: 'MessageCame',
    conversation: text(event.conversationUuid),
    message: event.uuid,
    seq: numberOf(event.conversationSeq),
    author: text(event.authorUuid),
    text: text(message.text),
    reply_to: text(message.replyToUuid),
    at_ms: msOf(event.serverTime) ?? 0,
    claimed_ms: msOf(event.clientTime),
    local: (coreDataTemporaryUuid || text(event.clientUuid)).toLowerCase(),
    is_backfill: event.backfill ?? false,
    extra: '',
  }
}

function foreignCame(event) {
  return {
    type: 'ForeignCame',
    conversation: text(event.conversationUuid),
    event: text(event.uuid),
    seq: numberOf(event.conversationSeq),
    author: text(event.authorUuid),
    body: '',
    at_ms: msOf(event.serverTime) ?? 0,
    local: text(event.clientUuid).toLowerCase(),
    is_backfill: event.backfill ?? false,
  }
}

const met = (user) => ({
  type: 'UserMet',
  user: user.uuid,
  name: text(user.name),
  display_name: text(user.displayName),
  picture: text(user.pictureSha256),
})

const CHANGES = {
  *conversationCreated(said, event) {
    const conversation = event.conversationUuid
    const [local, at_ms] = [text(event.clientUuid).toLowerCase(), msOf(event.serverTime) ?? 0]
    yield { type: 'ConversationMade', conversation, name: text(said.name), local, at_ms }
    for (const user of said.members ?? []) {
      yield met(user)
      yield { type: 'MemberCame', conversation, user: user.uuid, is_owner: user.uuid === event.authorUuid }
    }
  },
  *conversationNameChanged(said, event) {
    const [conversation, name] = [event.conversationUuid, text(said.newName)]
    yield { type: 'ConversationRenamed', conversation, name, event: text(event.uuid) }
  },
  *memberJoined(said, event) {
    if (!said.user) return
    yield met(said.user)
    const [conversation, is_owner] = [event.conversationUuid, said.role === 'OWNER']
    yield { type: 'MemberCame', conversation, user: said.user.uuid, is_owner }
  },
  *memberLeft(said, event) {
    yield { type: 'MemberWent', conversation: event.conversationUuid, user: text(said.userUuid) }
  },
  *readNewMessage(said, event) {
    const [conversation, user] = [event.conversationUuid, text(event.authorUuid)]
    yield { type: 'ReadUpTo', conversation, user, seq: numberOf(said.upToSeq) }
  },
  *deliveredUpTo(said, event) {
    const [conversation, user] = [event.conversationUuid, text(event.authorUuid)]
    yield { type: 'DeliveredUpTo', conversation, user, seq: numberOf(said.seq) }
  },
  *displayNameChanged(said, event) {
    const [user, display_name] = [text(said.userUuid), text(said.newName)]
    yield { type: 'DisplayNameChanged', user, display_name, event: text(event.uuid) }
  },
  *profilePictureChanged(said, event) {
    const [sha256, png] = [text(said.sha256), text(said.pngImage)]
    yield { type: 'PictureChanged', user: text(said.userUuid), sha256, png, event: text(event.uuid) }
  },
  *guildEntered({ host, guild, name }) {
    yield { type: 'GuildEntered', host: text(host), guild: text(guild), name: text(name) }
  },
  *guildExited({ host, guild, reason }) {
    yield { type: 'GuildExited', host: text(host), guild: text(guild), reason: text(reason) }
  },
  *inviteReceived({ host, invite, inviter, conversation, name }) {
    const its = { inviter: text(inviter), conversation: text(conversation), name: text(name) }
    yield { type: 'InviteCame', host: text(host), invite: text(invite), ...its }
  },
  *inviteDecided({ host, invite, accepted }) {
    yield { type: 'InviteDecided', host: text(host), invite: text(invite), accepted: accepted ?? false }
  },
}

/** Of a HistoryPage: messages and what became of them. What else happened back then, who came and
 * how it was called, is not what is so now. `lowest`: the least number in it; 0: it is empty. */
export function pageOf(page) {
  const events = page.events ?? []
  const changes = events.flatMap((event) => [
    ...(event.clientUuid ? [{ type: 'Settled', local: event.clientUuid.toLowerCase(), uuid: text(event.uuid) }] : []),
    ...changesOfMessage(event, kindOf(event)),
  ])
  const lowest = events.length ? Math.min(...events.map((event) => numberOf(event.conversationSeq))) : 0
  return { changes, lowest, has_more: page.more ?? false }
}

// -- answers ----------------------------------------------------------------------------------------

/** It is no answer to this batch: nothing is known of any row, and all are sent again. */
export class NoAnswer extends Error {}

/** What a SubmitEventOutput says of each row of a batch. `batch`: what its rows were sent as.
 * Throws NoAnswer. */
export function settle(batch, answer) {
  const events = answer?.events ?? []
  if (events.length !== batch.length) {
    throw new NoAnswer(`the host answered with ${events.length} events to a batch of ${batch.length}`)
  }
  return {
    settlements: events.map((event, at) => settled(batch[at], event)),
    next_number: numberOf(answer.nextQueueNumber),
    server_ms: msOf(answer.serverTime),
  }
}

function settled(local, answer) {
  const named = text(answer.clientUuid).toLowerCase()
  if (named && named !== local.toLowerCase()) {
    throw new NoAnswer(`the host answered to ${named} in the place of ${local}`)
  }
  if (answer.eventRefused) {
    const { code, detail, current } = answer.eventRefused
    return { type: 'Refused', local, code: text(code), detail: text(detail), current: current ?? null }
  }
  if (!answer.uuid) throw new NoAnswer(`the host says neither what ${local} is called nor why it is refused`)
  return { type: 'Stored', local, uuid: answer.uuid, is_duplicate: answer.duplicate ?? false }
}

// -- the machine ------------------------------------------------------------------------------------
// A device's connection and its queue: what happened in, what to do out, as plain values, whose
// `type` says which. It knows how many events wait, not which. Whoever drives it does each action at
// once, in order, and tells it what comes of it: of each OpenStream that it ended, of each Offer and
// AskNumber that it was answered or not. It owns the order of things:
//
// - a stream first: the queue is offered only behind the first frame of an open stream, and not in
//   the middle of a snapshot; no stream is opened before the answer to what was offered on the last;
// - one batch at a time;
// - it never just waits: a stream is open or on its way, or a timer runs, or a token was asked for,
//   or the user knows that there is something to do.

const SHORTEST_S = 0.5
const LONGEST_S = 60 // as long as someone looks at a screen that says offline
const LONGEST_SAID_S = 3600 // who makes a device wait for longer has an error
const COPY_S = 600 // in which to be displaced twice is a proof: two that live meet within a minute
const LOST_AT_MOST = 3 // at one place: then the device names none, and begins anew with a snapshot
const SIGN_IN = ['NO_SESSION', 'TOKEN_EXPIRED', 'DEVICE_REVOKED']

/** Decorrelated jitter: each wait is drawn between the shortest and three times the one before. */
class Backoff {
  #fraction
  #lastS = SHORTEST_S

  constructor(fraction) {
    this.#fraction = fraction
  }

  nextS() {
    const longest = Math.min(LONGEST_S, 3 * this.#lastS)
    this.#lastS = SHORTEST_S + this.#fraction() * (longest - SHORTEST_S)
    return this.#lastS
  }

  reset() {
    this.#lastS = SHORTEST_S
  }
}

const saidS = (wished) => Math.min(Math.max(wished, SHORTEST_S), LONGEST_SAID_S)

export class Machine {
  #actions = []
  #place = NOWHERE
  #isActive = true
  #told = null
  #why = '' // there is no stream

  #hold = 'stopped' // why no stream is wanted: '', stopped, displaced, sign-in, token, token later
  #tokenCode = ''
  #hasAskedToken = false // and nothing has shown since that it was of use

  #stream = 'none' // none, later, opening, open, closing
  #streamBackoff
  #pauseS = null // before the next stream, once this one is closed
  #isSaid = false // the pause is the host's wish, and no guess
  #lost = 0
  #mayBeCopied = false // it was displaced, and the timer "copy", which forgives, runs
  #openedActive = true
  #hasFrame = false
  #inSnapshot = false
  #isLive = false

  #offered = 'nothing' // nothing, a batch, given up
  #queueBackoff
  #queueWaits = '' // '', guessed, said
  #queueWhy = ''
  #queued = 0
  #limit = MAX_BATCH_EVENTS
  #refusal = null // goes before the offer of this moment
  #isMoved = false // the queue, since the offer
  #number = 0 // that is awaited; 0: not known
  #hasAskedNumber = false

  #holes = 0
  #fills = false
  #mayFill = false // once each time that the device has caught up

  /** `fraction`: draws a number from 0 to 1, for the jitter. */
  constructor(fraction) {
    this.#streamBackoff = new Backoff(fraction)
    this.#queueBackoff = new Backoff(fraction)
  }

  /** What to do, in order. */
  handle(happened) {
    this.#actions = []
    this.#note(happened)
    this.#connect()
    this.#offer()
    this.#tell()
    this.#refusal = null
    return this.#actions
  }

  #do(type, its = {}) {
    this.#actions.push({ type, ...its })
  }

  #note(happened) {
    const its = happened
    switch (its.type) {
      case 'StreamOpened':
        if (this.#stream === 'opening') this.#stream = 'open'
        break
      case 'Heard':
        return this.#heard(its)
      case 'StreamEnded':
        return this.#ended(its.fault ?? null)
      case 'Made':
        this.#queued += its.count
        break
      case 'Answered':
        return this.#answered(its.left, its.next_number)
      case 'NotAnswered':
        return this.#notAnswered(its.fault, its.offered)
      case 'HolesFilled':
        this.#holes = its.left
        this.#fills = false
        break
      case 'Woke':
        return this.#woke(its.timer)
      default:
        return this.#wished(its)
    }
  }

  /** What the app says, and not the host. */
  #wished(its) {
    switch (its.type) {
      case 'Started':
        return this.#start(its)
      case 'NetworkUp':
        this.#hurry()
        return this.#close(0) // it may be one of a network that is gone
      case 'Activity':
        this.#isActive = its.is_active
        if (its.is_active) this.#hurry()
        break
      case 'SignedIn':
        return this.#signedIn()
      case 'TokenNotHad':
        return this.#noToken(its.is_lasting)
      case 'Stopped':
        this.#hold = 'stopped'
        this.#endQueuePause()
        return this.#forgetCopies()
      default:
        throw new Error(`nothing happens that is called ${its.type}`)
    }
  }

  #start({ place = NOWHERE, awaited = 0, queued = 0, holes = 0, is_active = true }) {
    this.#place = { ...NOWHERE, ...place }
    this.#isActive = is_active
    this.#queued = queued
    this.#holes = holes
    this.#number = awaited
    this.#hold = ''
  }

  #woke(timer) {
    if (timer === 'queue') this.#queueWaits = ''
    else if (timer === 'copy') this.#mayBeCopied = false
    else if (this.#stream === 'later') this.#stream = 'none'
  }

  // - the stream

  #heard(heard) {
    this.#place = heard.place
    if (heard.queued != null && heard.queued !== this.#queued) {
      this.#queued = heard.queued
      this.#isMoved = true
    }
    this.#holes = heard.holes ?? this.#holes
    if (!this.#isUp()) return // of a stream that is being closed: it is committed, and no more
    this.#stream = 'open'
    this.#hasFrame = true
    this.#why = ''
    if (heard.snapshot) this.#inSnapshot = heard.snapshot === 'begun'
    if (heard.is_caught_up) this.#caughtUp()
    if (heard.go_away) {
      this.#close(0)
      this.#failed({ code: heard.go_away, retry_s: (heard.reconnect_after_ms ?? 0) / 1000 })
    }
  }

  #isUp() {
    return this.#stream === 'opening' || this.#stream === 'open'
  }

  #caughtUp() {
    this.#isLive = this.#mayFill = true
    this.#lost = 0
    this.#streamBackoff.reset()
    if (!this.#queued) this.#hasAskedToken = false // else the queue has to show that the token is good
  }

  #ended(fault) {
    if (this.#isUp()) this.#failed(fault ?? { code: 'UNREACHABLE' })
    this.#stream = 'none'
    this.#hasFrame = this.#inSnapshot = this.#isLive = false
  }

  /** What there is to do before the next stream. */
  #failed({ code, retry_s = null }) {
    this.#why = code
    if (SIGN_IN.includes(code)) this.#needToken(code)
    else if (code === 'DISPLACED' && this.#mayBeCopied) {
      this.#hold = 'displaced'
      this.#forgetCopies()
    } else if (retry_s !== null && code !== 'DISPLACED') {
      this.#pauseS = saidS(retry_s)
      this.#isSaid = true
    } else {
      if (code === 'LOST' || code === 'INVALID') this.#lost += 1
      if (code === 'DISPLACED') this.#suspectCopies()
      this.#pauseS = this.#streamBackoff.nextS()
      this.#isSaid = false
    }
  }

  #suspectCopies() {
    this.#mayBeCopied = true
    this.#do('WakeAt', { timer: 'copy', in_s: COPY_S })
  }

  #forgetCopies() {
    if (this.#mayBeCopied) this.#do('WakeAt', { timer: 'copy', in_s: null })
    this.#mayBeCopied = false
  }

  /** And come back after so long. */
  #close(pauseS) {
    if (!this.#isUp()) return
    this.#do('CloseStream')
    this.#stream = 'closing'
    this.#pauseS = pauseS
    this.#isSaid = false
    this.#isLive = false
  }

  /** Opens a stream, closes one, or waits, as things are. */
  #connect() {
    const isOutdated = this.#isActive !== this.#openedActive && !this.#inSnapshot
    if (this.#hold || isOutdated) this.#close(0)
    if (!['', 'token later'].includes(this.#hold)) this.#endPause()
    if (!this.#isUp() && this.#offered === 'a batch') {
      this.#do('CancelOffer')
      this.#offered = 'given up'
    }
    if (['', 'token later'].includes(this.#hold) && this.#stream === 'none') this.#goOn()
  }

  #goOn() {
    if (this.#pauseS) {
      this.#do('WakeAt', { timer: 'stream', in_s: this.#pauseS })
      this.#stream = 'later'
      this.#pauseS = null
    } else if (this.#hold === 'token later') this.#askToken(this.#tokenCode)
    else if (this.#offered === 'nothing') {
      const { token, uuid } = this.#lost >= LOST_AT_MOST ? NOWHERE : this.#place
      this.#do('OpenStream', { token, uuid, is_inactive: !this.#isActive })
      this.#stream = 'opening'
      this.#openedActive = this.#isActive
    }
  }

  #endPause() {
    if (this.#stream === 'later') {
      this.#do('WakeAt', { timer: 'stream', in_s: null })
      this.#stream = 'none'
    }
    this.#pauseS = null
  }

  /** There is reason to believe that it works now. What the host asked for stands. */
  #hurry() {
    this.#streamBackoff.reset()
    this.#queueBackoff.reset()
    if (this.#hold === 'displaced') this.#hold = ''
    if (!this.#isSaid) this.#endPause()
    if (this.#queueWaits === 'guessed') this.#endQueuePause()
  }

  // - the token

  /** One is asked for once; if that is no better, it takes the user. */
  #needToken(code) {
    this.#tokenCode = code
    if (['token', 'token later', 'sign-in'].includes(this.#hold)) return
    if (this.#hasAskedToken) this.#hold = 'sign-in'
    else this.#askToken(code)
  }

  #askToken(code) {
    this.#do('AskToken', { code })
    this.#hold = 'token'
    this.#hasAskedToken = true
  }

  #signedIn() {
    if (['', 'stopped'].includes(this.#hold)) return
    this.#hold = ''
    this.#endPause()
  }

  #noToken(isLasting) {
    if (this.#hold !== 'token') return
    if (isLasting) this.#hold = 'sign-in'
    else {
      this.#hold = 'token later'
      this.#pauseS = this.#streamBackoff.nextS()
      this.#isSaid = false
    }
  }

  // - the queue

  #offer() {
    if (this.#isLive && this.#holes && this.#mayFill && !this.#fills) {
      this.#do('FillHoles')
      this.#fills = true
      this.#mayFill = false
    }
    const isOpen = this.#stream === 'open' && this.#hasFrame && !this.#inSnapshot
    if (!isOpen || this.#offered !== 'nothing' || this.#queueWaits) return
    if (this.#refusal) this.#actions.push(this.#refusal)
    else if (!this.#queued) return
    this.#isMoved = false
    this.#offered = 'a batch'
    if (this.#number || this.#hasAskedNumber) this.#do('Offer', { number: this.#number, limit: this.#limit })
    else this.#do('AskNumber')
  }

  #answered(left, nextNumber) {
    this.#offered = 'nothing'
    this.#queued = left
    this.#number = Math.max(this.#number, nextNumber)
    this.#hasAskedNumber = true
    this.#hasAskedToken = false
    this.#limit = Math.min(2 * this.#limit, MAX_BATCH_EVENTS)
    this.#queueWhy = ''
    this.#queueBackoff.reset()
  }

  #notAnswered({ code, text: said = '', retry_s = null, next_number = 0 }, offered) {
    const isGivenUp = this.#offered === 'given up'
    this.#offered = 'nothing'
    if (isGivenUp) return
    const isTooMuch = code === 'INVALID' || code === 'TOO_LARGE'
    if (![...SIGN_IN, 'UNREACHABLE', 'STORE'].includes(code)) this.#hasAskedToken = false // it looked beyond
    if (code === 'QUEUE_HOLE' && next_number && next_number !== this.#number) this.#number = next_number
    else if (isTooMuch && offered > 1) this.#limit = Math.floor(offered / 2)
    else if (isTooMuch && offered === 1) {
      this.#limit = 1
      // If the queue has moved, it may not be the oldest any more.
      if (!this.#isMoved) this.#refusal = { type: 'RefuseOldest', code, detail: said }
    } else if (SIGN_IN.includes(code)) this.#needToken(code)
    else if (code === 'UNREACHABLE') {
      if (offered) this.#limit = Math.max(1, Math.floor(offered / 2))
      this.#why = code
      this.#close(this.#streamBackoff.nextS())
    } else this.#putOff(code, retry_s)
  }

  #putOff(code, retryS) {
    this.#queueWhy = code
    this.#queueWaits = retryS === null ? 'guessed' : 'said'
    const in_s = retryS === null ? this.#queueBackoff.nextS() : saidS(retryS)
    this.#do('WakeAt', { timer: 'queue', in_s })
  }

  #endQueuePause() {
    if (this.#queueWaits) this.#do('WakeAt', { timer: 'queue', in_s: null })
    this.#queueWaits = ''
  }

  // - what the user may want to know

  #tell() {
    const why = this.#hold === 'sign-in' ? this.#tokenCode : this.#why || this.#queueWhy
    const told = { type: 'Tell', status: this.#status(), why }
    if (this.#told?.status === told.status && this.#told.why === why) return
    this.#actions.push(told)
    this.#told = told
  }

  #status() {
    if (this.#hold === 'stopped' || this.#hold === 'displaced') return this.#hold
    if (this.#hold === 'sign-in') return 'needs sign-in'
    if (this.#stream === 'later') return 'offline'
    if (this.#stream === 'open') return this.#isLive ? 'live' : 'catching up'
    return 'connecting'
  }
}

// -- what is seen -----------------------------------------------------------------------------------
// What the stream said, with the rows of the queue on top, worked out anew each time: there is no
// second copy that could be left behind. A row that is KEPT is in the base; one that is REFUSED does
// nothing, but for what it made itself, which is shown as failed.

/** Of a row of the queue. Stored: never renumber. */
export const QUEUED = 0 // the host has not answered
export const SENT = 1 // answered; it has not come down yet
export const REFUSED = 2
export const KEPT = 3 // in what the stream said: kept to be offered again after a restore of the host

const STATES = ['sending', 'sent', 'failed', 'sent']

const counting = (rows) =>
  rows.filter((row) => row.standing === QUEUED || row.standing === SENT).map((row) => [row, actOf(row.event)])
const nameOf = (row) => row.uuid || row.local // by which the next change may say what it is based on

const A_MESSAGE = {
  reply_to: '',
  is_edited: false,
  reactions: [],
  delivered_to: 0,
  read_by: 0,
  others: 0,
  code: '',
  detail: '',
  is_pending: false,
  change: '',
  extra: '',
}

/** Of a row that sends one, and that the base does not have. */
export function messageMade(row, author, author_name) {
  const act = actOf(row.event)
  const { uuid, local, conversation, made_ms: at_ms, code, detail } = row
  const its = { uuid, local, conversation, seq: 0, author, author_name, text: act.text, at_ms, code, detail }
  return { ...A_MESSAGE, ...its, state: STATES[row.standing], reply_to: text(act.reply_to), change: nameOf(row) }
}

/** `user`: whose device it is. null: the user deletes it. */
export function overlaidMessage(base, rows, user) {
  const message = { ...A_MESSAGE, ...base }
  for (const [row, act] of counting(rows)) {
    if (act.type === 'DeleteMessage') return null
    if (act.type === 'EditMessage') {
      Object.assign(message, { text: act.text, extra: '', is_edited: true, change: nameOf(row) })
    } else if (act.type === 'AddReaction') message.reactions = withReaction(message.reactions, act.reaction, user)
    else if (act.type === 'RemoveReaction') {
      message.reactions = withoutReaction(message.reactions, act.reaction, user)
    } else continue
    message.is_pending ||= row.standing === QUEUED
  }
  return message
}

function withReaction(reactions, reaction, user) {
  const users = reactions.filter((each) => each.reaction === reaction).flatMap((each) => each.users)
  const others = reactions.filter((each) => each.reaction !== reaction)
  return inOrder([...others, { reaction, users: [...new Set([...users, user])].sort() }])
}

function withoutReaction(reactions, reaction, user) {
  const left = reactions.map((each) =>
    each.reaction === reaction ? { ...each, users: each.users.filter((one) => one !== user) } : each,
  )
  return inOrder(left.filter((each) => each.users.length))
}

const inOrder = (reactions) => reactions.sort((a, b) => (a.reaction < b.reaction ? -1 : 1))

const A_CONVERSATION = { code: '', detail: '', is_pending: false, change: '' }

/** Of a row that makes one, and that the base does not have. */
export function conversationMade(row, user) {
  const act = actOf(row.event)
  return {
    ...A_CONVERSATION,
    uuid: row.uuid,
    local: row.local,
    name: act.name,
    state: STATES[row.standing],
    unread: 0,
    read_seq: 0,
    newest_seq: 0,
    newest_ms: row.made_ms,
    newest: null,
    is_owner: true,
    members: new Set([user, ...act.members.map(userUuidOf)]).size,
    has_older: false,
    oldest_seq: 0,
    code: row.code,
    detail: row.detail,
    change: nameOf(row),
  }
}

/** null: the user leaves it. Its `members` are counted as the base has them. */
export function overlaidConversation(base, rows, user) {
  const conversation = { ...A_CONVERSATION, ...base }
  for (const [row, act] of counting(rows)) {
    if (act.type === 'RenameConversation') {
      conversation.name = act.name
      conversation.change = nameOf(row)
      conversation.is_pending ||= row.standing === QUEUED
    } else if (act.type === 'Read') {
      conversation.read_seq = Math.max(conversation.read_seq, row.target_seq ?? 0)
    } else if (act.type === 'AddMember' && userUuidOf(act.user) === user) conversation.is_owner = act.is_owner
    else if (act.type === 'RemoveMember' && (!act.user || act.user === user)) return null
  }
  return conversation
}

/** By their uuids. Of who is added by its uuid the names are left empty. */
export function overlaidMembers(members, rows, user) {
  const found = new Map(members.map((member) => [member.user, { is_pending: false, ...member }]))
  for (const row of rows.filter((each) => each.kind === 'conversationCreated')) {
    for (const name of [...actOf(row.event).members, user]) {
      const uuid = userUuidOf(name)
      found.set(uuid, memberOf(row, uuid, name, uuid === user))
    }
  }
  for (const [row, act] of counting(rows)) {
    if (act.type === 'AddMember') {
      const uuid = userUuidOf(act.user)
      const known = found.get(uuid) ?? memberOf(row, uuid, act.user, act.is_owner)
      found.set(uuid, { ...known, is_owner: act.is_owner, is_pending: row.standing === QUEUED })
    } else if (act.type === 'RemoveMember') found.delete(act.user || user)
  }
  return [...found.values()].sort((a, b) => (a.user < b.user ? -1 : 1))
}

function memberOf(row, user, name, is_owner) {
  const its = { name: isUuid(name) ? '' : name, display: '', read_seq: 0, delivered_seq: 0 }
  return { conversation: row.conversation, user, ...its, is_owner, is_pending: row.standing === QUEUED }
}

export function overlaidProfile(base, rows) {
  const profile = { name_change: '', picture_change: '', ...base }
  for (const [row, act] of counting(rows)) {
    if (act.type === 'SetDisplayName') Object.assign(profile, { display: act.name, name_change: nameOf(row) })
    else if (act.type === 'SetPicture') {
      const sha256s = act.png ? btoa(String.fromCharCode(...sha256(base64Bytes(act.png)))) : ''
      Object.assign(profile, { picture: act.png, picture_sha256: sha256s, picture_change: nameOf(row) })
    }
  }
  return profile
}

export function overlaidInvite(base, rows) {
  const invite = { answer: null, ...base }
  for (const [, act] of counting(rows)) {
    const isIts = act.type === 'AnswerInvite' && act.host === base.host && act.invite === base.invite
    if (isIts) invite.answer = act.accepted
  }
  return invite
}

// -- the database -----------------------------------------------------------------------------------
// Three stores of IndexedDB: `device` says whose it is and where it is, `outbox` has the queue, and
// `base` what the stream said, under keys [generation, table, ...ids]. A snapshot fills the other
// generation, which takes the place of the one that is shown by a change of one number.

const KEEP_MS = 30 * 86_400_000 // as old as a backup that somebody goes back to may be
const KEEP_ROWS = 10_000
const UNREAD_AT_MOST = 100
const ALWAYS_LEAVE_AN_ENTRY = ['conversationCreated', 'sendingNewMessage']
const OF_A_CONVERSATION = ['hole', 'member', 'watermark', 'message', 'edit', 'deleted', 'reaction']
const STATE = { generation: 0, is_filling: false, place: NOWHERE, awaited: 0, term: 0 }
const ERASING_MS = 1000 // a browser that closes a database to erase it has done it by then
const LAST = [] // behind all texts and numbers, in IndexedDB's order

const result = (request) =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })

/** The disk is full, or the browser took the database away: nothing was done. */
export class StoreFailed extends Error {}

/** A connection. `mayMake`: a database is made where there is none. null: there is none. Throws StoreFailed. */
async function connected(name, mayMake) {
  let isNone = false
  try {
    const request = indexedDB.open(name, 1)
    request.onupgradeneeded = () => {
      if (mayMake) return makeStores(request.result)
      isNone = true
      request.transaction.abort()
    }
    return await result(request)
  } catch (error) {
    if (isNone) return null
    throw storeFailed(error)
  }
}

function makeStores(db) {
  db.createObjectStore('device')
  db.createObjectStore('base')
  const outbox = db.createObjectStore('outbox', { keyPath: 'number', autoIncrement: true })
  outbox.createIndex('local', 'local', { unique: true })
  outbox.createIndex('sent_as', 'sent_as', { unique: true })
  for (const field of ['standing', 'uuid', 'renamed']) outbox.createIndex(field, field)
}

function storeFailed(error) {
  const why = error?.name === 'QuotaExceededError' ? 'there is no room left' : (error?.message ?? 'it gave no reason')
  return new StoreFailed(`this browser cannot keep what was said: ${why}`)
}

class Store {
  #name
  #onLost
  #db = null // for a moment, where the browser has closed it
  #connecting = null
  #isClosed = false

  /** `onLost`: is told when the database is there no more. null: there is none. Throws StoreFailed. */
  static async open(name, mayMake, onLost) {
    const db = await connected(name, mayMake)
    return db && new Store(name, db, onLost)
  }

  constructor(name, db, onLost) {
    this.#name = name
    this.#onLost = onLost
    this.#use(db)
  }

  #use(db) {
    this.#db = db
    db.onversionchange = db.onclose = () => {
      db.close() // for who erases it, and waits for that
      this.#db = null
      this.#connect().catch(() => {})
    }
    return db
  }

  /** Once more: Safari drops connections of a page in the background, and what is kept is there all the same. Or a
   * browser threw it away. */
  #connect() {
    this.#connecting ??= this.#connected().finally(() => (this.#connecting = null))
    return this.#connecting
  }

  async #connected() {
    if (!this.#isClosed) await new Promise((resolve) => setTimeout(resolve, ERASING_MS))
    if (this.#isClosed) throw new StoreFailed('this device is closed')
    const db = await connected(this.#name, false)
    if (db && !this.#isClosed) return this.#use(db)
    db?.close()
    if (!this.#isClosed) this.#onLost()
    throw new StoreFailed('the browser took away what was kept')
  }

  close() {
    this.#isClosed = true
    this.#db?.close()
    this.#db = null
  }

  /** All of `work`, or none: it gets a Tx, and waits for nothing but that. Throws StoreFailed, and what `work` throws. */
  write(work) {
    return this.#transact('readwrite', work)
  }

  read(work) {
    return this.#transact('readonly', work)
  }

  /** Nothing is left, though another tab may keep the empty database open for a while. */
  erase() {
    return this.write((tx) => {
      for (const store of [tx.device, tx.outbox, tx.base]) store.clear()
      tx.state = undefined
    })
  }

  async #transact(mode, work) {
    const db = this.#db ?? (await this.#connect())
    let tx, ended
    try {
      tx = db.transaction(['device', 'base', 'outbox'], mode, { durability: 'strict' })
      ended = new Promise((resolve, reject) => {
        tx.oncomplete = resolve
        tx.onabort = () => reject(tx.error)
      })
      ended.catch(() => {})
      const its = new Tx(tx, { ...STATE, ...(await result(tx.objectStore('device').get('state'))) })
      const found = await work(its)
      if (mode === 'readwrite' && its.state) its.device.put(its.state, 'state')
      await ended
      return found
    } catch (error) {
      const why = tx?.error ?? error // a request says only that its transaction is over
      if (tx) abort(tx)
      if (!(error instanceof DOMException) && error !== null) throw error
      throw storeFailed(why)
    }
  }
}

function abort(tx) {
  try {
    tx.abort()
  } catch {
    // it is over by itself
  }
}

/** One transaction. `state.generation` is shown; while a snapshot comes, changes go to the other. */
class Tx {
  isTaking = false

  constructor(tx, state) {
    this.state = state
    this.device = tx.objectStore('device')
    this.outbox = tx.objectStore('outbox')
    this.base = tx.objectStore('base')
  }

  /** The generation that is meant. */
  get #to() {
    const { generation, is_filling } = this.state
    return this.isTaking && is_filling ? 1 - generation : generation
  }

  get(...key) {
    return result(this.base.get([this.#to, ...key]))
  }

  put(value, ...key) {
    this.base.put(value, [this.#to, ...key])
  }

  delete(...key) {
    this.base.delete([this.#to, ...key])
  }

  /** All under a key, each with what its own has behind that: [ids, value]. */
  async all(...key) {
    const range = this.#under(key)
    const [keys, values] = await Promise.all([result(this.base.getAllKeys(range)), result(this.base.getAll(range))])
    return keys.map((each, at) => [each.slice(key.length + 1), values[at]])
  }

  clear(...key) {
    this.base.delete(this.#under(key))
  }

  count(...key) {
    return result(this.base.count(this.#under(key)))
  }

  #under(key) {
    return IDBKeyRange.bound([this.#to, ...key], [this.#to, ...key, LAST])
  }

  /** From `begin` on, at most `limit`. */
  onwards(key, begin, limit) {
    return result(this.base.getAll(IDBKeyRange.bound([this.#to, ...key, begin], [this.#to, ...key, LAST]), limit))
  }

  /** From the greatest on, below `end`, as long as `take` says true. */
  async backwards(key, end, take) {
    const range = IDBKeyRange.bound([this.#to, ...key], [this.#to, ...key, end], true, true)
    const request = this.base.openCursor(range, 'prev')
    for (let cursor = await result(request); cursor; cursor = await result(request)) {
      if (!(await take(cursor.value))) return
      cursor.continue()
    }
  }

  /** The other generation, whatever is in it, is gone. */
  dropOther() {
    const other = 1 - this.state.generation
    this.base.delete(IDBKeyRange.bound([other], [other, LAST]))
  }

  rowBy(index, value) {
    return result(this.outbox.index(index).get(value))
  }

  rowsBy(index, range) {
    return result(this.outbox.index(index).getAll(range))
  }

  async unfinished() {
    const rows = await this.rowsBy('standing', IDBKeyRange.bound(QUEUED, REFUSED))
    return rows.sort((a, b) => a.number - b.number)
  }

  waiting() {
    return result(this.outbox.index('standing').count(IDBKeyRange.only(QUEUED)))
  }
}

// -- what changes do -------------------------------------------------------------------------------
// Nothing here asks whether it is news: that was decided before. Of what
// becomes of a message the greatest number counts, in whatever order it comes.

const A_PERSON = { name: '', display: '', change: '', picture_sha256: '', picture: '', picture_change: '' }
const A_BASE_CONVERSATION = { name: '', change: '', newest_ms: 0, reached: 0, floor: null, is_whole: false }

/** Returns those of `changes` after which something is otherwise. */
async function takeIn(tx, changes, nowMs) {
  const told = []
  tx.isTaking = true
  for (const change of changes) if ((await TAKES[change.type]?.(tx, change, nowMs)) !== SAME) told.push(change)
  tx.isTaking = false
  return told
}

const SAME = false // what one of TAKES gives that had nothing to do

const TAKES = {
  SnapshotBegan(tx) {
    tx.dropOther()
    tx.state.is_filling = true
  },
  async SnapshotEnded(tx) {
    tx.state.generation = 1 - tx.state.generation
    tx.state.is_filling = false
    tx.dropOther()
    await knowOwner(tx)
  },
  SnapshotDropped(tx) {
    if (tx.state.is_filling) tx.dropOther()
    tx.state.is_filling = false
  },
  async KeptAgain(tx) {
    // What left no entry would be judged anew, by what is there then.
    for (const standing of [SENT, KEPT]) {
      for (const row of await tx.rowsBy('standing', standing)) {
        if (row.is_duplicate && !ALWAYS_LEAVE_AN_ENTRY.includes(row.kind)) continue
        tx.outbox.put({ ...row, standing: QUEUED, caught_up: 0 })
      }
    }
  },
  async Settled(tx, { local, uuid }, nowMs) {
    const row = await tx.rowBy('sent_as', local)
    if (row) tx.outbox.put({ ...row, standing: KEPT, uuid, is_duplicate: false, kept_ms: nowMs })
  },
  async CaughtUp(tx, _, nowMs) {
    for (const row of await tx.rowsBy('standing', SENT)) {
      const caught_up = row.caught_up + 1
      tx.outbox.put({ ...row, caught_up, ...(caught_up > 1 ? { standing: KEPT, kept_ms: nowMs } : {}) })
    }
  },
  async UserMet(tx, { user, name, display_name: display, picture }) {
    const its = await tx.get('person', user)
    const known = { ...A_PERSON, ...its }
    if (its && known.name === name && known.display === display && known.picture_sha256 === picture) return SAME
    if (known.display !== display) known.change = ''
    if (known.picture_sha256 !== picture) Object.assign(known, { picture: '', picture_change: '' })
    tx.put({ ...known, name, display, picture_sha256: picture }, 'person', user)
  },
  async DisplayNameChanged(tx, { user, display_name: display, event: change }) {
    tx.put({ ...A_PERSON, ...(await tx.get('person', user)), display, change }, 'person', user)
  },
  async PictureChanged(tx, { user, sha256: picture_sha256, png, event: picture_change }) {
    const known = { ...A_PERSON, ...(await tx.get('person', user)) }
    const picture = png || (known.picture_sha256 === picture_sha256 ? known.picture : '')
    tx.put({ ...known, picture_sha256, picture, picture_change }, 'person', user)
  },
  ConversationBegun: forget,
  ConversationForgotten: forget,
  async ConversationMade(tx, { conversation, name, at_ms }) {
    const known = { ...A_BASE_CONVERSATION, ...(await tx.get('conversation', conversation)) }
    if (known.change) return
    const newest_ms = Math.max(known.newest_ms, at_ms)
    tx.put({ ...known, name, change: conversation, newest_ms }, 'conversation', conversation)
  },
  async ConversationRenamed(tx, { conversation, name, event: change }) {
    const known = await tx.get('conversation', conversation)
    if (known) tx.put({ ...known, name, change }, 'conversation', conversation)
  },
  MemberCame(tx, { conversation, user, is_owner }) {
    tx.put({ is_owner }, 'member', conversation, user)
  },
  MemberWent(tx, { conversation, user }) {
    tx.delete('member', conversation, user)
  },
  ReadUpTo: (tx, { conversation, user, seq }) => raise(tx, conversation, user, 'read_seq', seq),
  DeliveredUpTo: (tx, { conversation, user, seq }) => raise(tx, conversation, user, 'delivered_seq', seq),
  async Reached(tx, { conversation, seq }) {
    const known = { ...A_BASE_CONVERSATION, ...(await tx.get('conversation', conversation)) }
    const its = { reached: Math.max(known.reached, seq), floor: known.floor ?? seq }
    tx.put({ ...known, ...its }, 'conversation', conversation)
  },
  HoleFound(tx, { conversation, after, before }) {
    tx.put({ after }, 'hole', conversation, before)
  },
  async MessageCame(tx, change) {
    const { conversation, message: uuid, seq, at_ms, is_backfill } = change
    const isKnown = (await tx.get('deleted', conversation, uuid)) || (await tx.get('named', uuid))
    if (!isKnown) {
      const row = change.local ? await tx.rowBy('sent_as', change.local) : null
      const local = row?.local ?? change.local // this device may have called it otherwise since
      const { author, text, reply_to } = change
      tx.put({ uuid, local, seq, author, text, reply_to, at_ms }, 'message', conversation, seq)
      for (const name of local ? [uuid, local] : [uuid]) tx.put({ uuid, conversation, seq }, 'named', name)
    }
    const known = await tx.get('conversation', conversation)
    if (!known) return
    const newest_ms = Math.max(known.newest_ms, at_ms)
    tx.put({ ...known, newest_ms, ...lowered(known, seq, is_backfill) }, 'conversation', conversation)
  },
  async MessageEdited(tx, { conversation, message, seq, event, text }) {
    const [isDeleted, known] = [
      await tx.get('deleted', conversation, message),
      await tx.get('edit', conversation, message),
    ]
    if (!isDeleted && !(known?.seq >= seq)) tx.put({ seq, event, text }, 'edit', conversation, message)
  },
  async MessageDeleted(tx, { conversation, message }) {
    tx.put(true, 'deleted', conversation, message)
    await clearMessage(tx, conversation, message)
  },
  ReactionAdded: (tx, change) => react(tx, change, true),
  ReactionRemoved: (tx, change) => react(tx, change, false),
  async NumberErased(tx, { conversation, event, why }) {
    if (why !== 'edited') tx.put(true, 'deleted', conversation, event)
    await clearMessage(tx, conversation, event)
    for (const [[message], edit] of await tx.all('edit', conversation)) {
      if (edit.event === event) tx.delete('edit', conversation, message)
    }
  },
  async ForeignCame(tx, { conversation, seq, is_backfill }) {
    const known = conversation && (await tx.get('conversation', conversation))
    if (known) tx.put({ ...known, ...lowered(known, seq, is_backfill) }, 'conversation', conversation)
  },
  GuildEntered(tx, { host, guild, name }) {
    tx.put({ host, guild, name }, 'guild', host, guild)
  },
  GuildExited(tx, { host, guild }) {
    tx.delete('guild', host, guild)
  },
  InviteCame(tx, { host, invite, inviter, conversation, name }) {
    tx.put({ host, invite, inviter, conversation, name }, 'invite', host, invite)
  },
  InviteDecided(tx, { host, invite }) {
    tx.delete('invite', host, invite)
  },
}

const lowered = (known, seq, isBackfill) => (isBackfill ? { floor: Math.min(known.floor ?? seq, seq) } : {})

async function forget(tx, { conversation }) {
  for (const [, message] of await tx.all('message', conversation)) unname(tx, message)
  for (const table of OF_A_CONVERSATION) tx.clear(table, conversation)
  tx.delete('conversation', conversation)
}

function unname(tx, { uuid, local }) {
  for (const name of [uuid, local]) if (name) tx.delete('named', name)
}

async function clearMessage(tx, conversation, uuid) {
  const named = await tx.get('named', uuid)
  const message = named && (await tx.get('message', named.conversation, named.seq))
  if (message) {
    unname(tx, message)
    tx.delete('message', named.conversation, named.seq)
  }
  tx.delete('edit', conversation, uuid)
  tx.clear('reaction', conversation, uuid)
}

async function react(tx, { conversation, message, reaction, user, seq }, isThere) {
  const key = ['reaction', conversation, message, reaction, user]
  if ((await tx.get('deleted', conversation, message)) || (await tx.get(...key))?.seq >= seq) return
  tx.put({ seq, is_there: isThere }, ...key)
}

async function raise(tx, conversation, user, which, seq) {
  const known = { read_seq: 0, delivered_seq: 0, ...(await tx.get('watermark', conversation, user)) }
  tx.put({ ...known, [which]: Math.max(known[which], seq) }, 'watermark', conversation, user)
}

/** The device knows the name that its own user signs in with, also if a snapshot does not say it. */
async function knowOwner(tx) {
  const owner = await result(tx.device.get('owner'))
  if (!owner?.name) return
  const known = { ...A_PERSON, ...(await tx.get('person', owner.user)) }
  tx.put({ ...known, name: known.name || owner.name }, 'person', owner.user)
}

/** A page of History was taken in: all that there is from the number `lowest` up to `before` (0: to
 * the newest), and if nothing is older than the page, all that there ever was. */
async function takeHistory(tx, conversation, page, before, nowMs) {
  const known = await tx.get('conversation', conversation)
  if (!known || tx.state.is_filling) return // the user has left it, or a snapshot replaces it
  await takeIn(tx, page.changes, nowMs)
  const its = await tx.get('conversation', conversation)
  const upto = before || its.reached + 1
  const low = page.has_more ? page.lowest : 0
  for (const [[end], { after }] of await tx.all('hole', conversation)) {
    if (end > upto || end <= low) continue
    tx.delete('hole', conversation, end)
    if (after + 1 < low) tx.put({ after }, 'hole', conversation, low)
  }
  if (its.floor === null || its.floor > upto) return
  const floor = page.lowest ? Math.min(its.floor, page.lowest) : its.floor
  tx.put({ ...its, floor, is_whole: its.is_whole || !page.has_more }, 'conversation', conversation)
}

// -- the queue -------------------------------------------------------------------------------------

async function makeRow(tx, made, nowMs) {
  const known = await tx.rowBy('local', made.local)
  if (known) return known // what was made under the same name before stands as it is
  const row = { ...made, sent_as: made.local, standing: QUEUED, made_ms: nowMs, ...A_ROW }
  row.number = await result(tx.outbox.add(row))
  return row
}

const A_ROW = {
  uuid: '',
  tries: 0,
  tried_ms: 0,
  last_error: '',
  code: '',
  detail: '',
  current: null,
  is_duplicate: false,
  caught_up: 0,
  kept_ms: 0,
}

/** The oldest that wait, one at least if there is any, with the events as the host knows things. */
async function batchOf(tx, limit) {
  const rows = await result(tx.outbox.index('standing').getAll(IDBKeyRange.only(QUEUED), limit))
  const names = new Map((await tx.rowsBy('renamed', 1)).map((row) => [row.local, row.sent_as]))
  const found = []
  let room = MAX_BATCH_BYTES
  for (const row of rows) {
    const event = names.size ? renamed(row.event, names) : row.event
    room -= textBytes(JSON.stringify(event)) + 1
    if (found.length && room < 0) break
    found.push({ ...row, event })
  }
  return found
}

/** Whatever the stream has said of a row meanwhile stands. */
async function takeVerdict(tx, { settlements, next_number }) {
  for (const each of settlements) {
    const row = await tx.rowBy('sent_as', each.local)
    if (row?.standing !== QUEUED) continue
    if (each.type === 'Refused') {
      const { code, detail, current } = each
      tx.outbox.put({ ...row, standing: REFUSED, code, detail, current, last_error: '' })
      continue
    }
    // What was KEPT before a restore left an entry then; what the host still has of that is where it
    // always was, and nothing of it comes down.
    const wasKept = row.kept_ms > 0
    const standing = wasKept && each.is_duplicate ? KEPT : SENT
    const is_duplicate = wasKept ? row.is_duplicate : each.is_duplicate
    tx.outbox.put({ ...row, standing, uuid: each.uuid, caught_up: 0, is_duplicate, last_error: '' })
  }
  if (next_number) tx.state.awaited = next_number
  return tx.waiting()
}

async function noteTried(tx, rows, error, nowMs) {
  for (const { local } of rows) {
    const row = await tx.rowBy('local', local)
    if (row?.standing !== QUEUED) continue
    tx.outbox.put({ ...row, tries: row.tries + 1, tried_ms: nowMs, last_error: error })
  }
}

/** What was made in or of something that is not with the host, itself first. Throws Unknown. */
async function allOf(tx, local) {
  const rows = (await tx.unfinished()).filter((row) => row.standing !== SENT)
  if (!rows.some((row) => row.local === local && row.standing === REFUSED)) {
    throw new Unknown(`${local} is not refused: what was made ends by itself or not at all`)
  }
  return rows.filter((row) => [row.local, row.conversation, row.target].includes(local))
}

/** It is not on this device, or not in the state for that. */
export class Unknown extends Error {}

/** It hangs together with something else that was refused; the text says what to do. */
export class NotByItself extends Error {}

async function dismissRow(tx, local, isWhole) {
  const gone = await allOf(tx, local)
  const said = gone.filter((row) => row.kind === 'sendingNewMessage' && row.local !== local)
  if (said.length && !isWhole) {
    throw new NotByItself(`${said.length} messages are in this conversation: try it again, or drop all of it`)
  }
  for (const row of gone) tx.outbox.delete(row.number)
  return gone
}

/** What was refused is to be sent once more, as something new, and with it all that was made of it. */
async function againRow(tx, local) {
  const several = await allOf(tx, local)
  const its = several.find((row) => row.local === local)
  const above = (await tx.rowsBy('standing', REFUSED)).find(
    (row) => row.local !== local && [its.conversation, its.target].includes(row.local),
  )
  if (above) throw new NotByItself('what this belongs to was refused: try that again, and this goes with it')
  for (const row of several) {
    let event = row.local === local && row.event.basedOnUuid ? withAct(row.event, { based_on: '' }) : row.event
    const replyTo = row.kind === 'sendingNewMessage' ? actOf(event).reply_to : ''
    const isGone = ['UNKNOWN_TARGET', 'DEPENDENCY_REFUSED'].includes(row.code)
    if (replyTo && isGone && !(await messageNamed(tx, replyTo))) event = withAct(event, { reply_to: '' })
    tx.outbox.put({ ...row, ...A_ROW, event, standing: QUEUED, sent_as: renewedUuid(row.sent_as), renamed: 1 })
  }
  return several
}

/** What makes a conversation stays, since its local uuid is another name of that. */
async function prune(tx, nowMs) {
  let more = (await result(tx.outbox.index('standing').count(KEPT))) - KEEP_ROWS
  const request = tx.outbox.index('standing').openCursor(IDBKeyRange.only(KEPT))
  for (let cursor = await result(request); cursor; cursor = await result(request)) {
    const row = cursor.value
    if (more-- <= 0 && row.kept_ms >= nowMs - KEEP_MS) return
    if (row.kind !== 'conversationCreated' && !row.renamed) cursor.delete()
    cursor.continue()
  }
}

// -- looks -----------------------------------------------------------------------------------------
// A look: { tx, user, rows, onTop, names }: the rows of the queue that are not done, those about a message by what
// that is called, and what people are called.

function lookOf(tx, user, rows) {
  const onTop = new Map()
  for (const row of rows) if (row.target) onTop.set(row.target, [...(onTop.get(row.target) ?? []), row])
  return { tx, user, rows, onTop, names: new Map() }
}

/** `maker`: the row that makes it, if the base does not have it. null: the user is not in it. */
async function conversationNamed(tx, name) {
  if (await tx.get('conversation', name)) return namesOf(name, (await madeAs(tx, 'uuid', name))?.local)
  const maker = (await madeAs(tx, 'local', name)) ?? (name && (await madeAs(tx, 'uuid', name)))
  if (!maker) return null
  if (maker.uuid && (await tx.get('conversation', maker.uuid))) return namesOf(maker.uuid, maker.local)
  return maker.standing === KEPT ? null : namesOf(maker.uuid, maker.local, maker)
}

const namesOf = (uuid, local = '', maker = null) => ({ uuid, local, maker, key: local || uuid })

async function madeAs(tx, index, name) {
  const rows = await tx.rowsBy(index, name)
  return rows.find((row) => row.kind === 'conversationCreated')
}

/** `sender`: the row that sends it, if the base does not have it. */
async function messageNamed(tx, name) {
  const named = await tx.get('named', name)
  if (named) return { ...named, sender: null }
  const sender = (await tx.rowBy('local', name)) ?? (name && (await tx.rowBy('uuid', name)))
  if (sender?.kind !== 'sendingNewMessage' || sender.standing === KEPT) return null
  return { uuid: sender.uuid, conversation: sender.conversation, seq: 0, sender }
}

const isIn = (row, names) => row.conversation !== '' && [names.uuid, names.local].includes(row.conversation)

async function shownConversation(look, names) {
  const base = names.maker ? conversationMade(names.maker, look.user) : await toldConversation(look, names)
  const kinds = ['conversationNameChanged', 'memberJoined', 'memberLeft', 'readNewMessage']
  const rows = look.rows.filter((row) => isIn(row, names) && kinds.includes(row.kind))
  for (const row of rows) {
    row.target_seq = row.kind === 'readNewMessage' ? ((await look.tx.get('named', row.target))?.seq ?? 0) : 0
  }
  return overlaidConversation(base, rows, look.user)
}

async function toldConversation({ tx, user }, { uuid, local }) {
  const [its, member, mark, members] = await Promise.all([
    tx.get('conversation', uuid),
    tx.get('member', uuid, user),
    tx.get('watermark', uuid, user),
    tx.count('member', uuid),
  ])
  const oldest_seq = its.floor ?? its.reached + 1
  return {
    ...{ uuid, local, name: its.name, state: 'sent', unread: 0, read_seq: mark?.read_seq ?? 0 },
    ...{ newest_seq: its.reached, newest_ms: its.newest_ms, newest: null, is_owner: member?.is_owner ?? false },
    ...{ members, has_older: !its.is_whole && oldest_seq > 1, oldest_seq, change: its.change },
  }
}

async function readConversation(look, names) {
  const shown = await shownConversation(look, names)
  if (!shown) return null
  const where = await whereabouts(look, names, shown)
  const [newest] = await messagesBefore(look, where, null, 1)
  const unread = await countUnread(look, names.uuid, shown.read_seq)
  const newest_ms = Math.max(shown.newest_ms, newest?.state === 'failed' ? 0 : (newest?.at_ms ?? 0))
  return { ...shown, key: names.key, unread, newest: newest ?? null, newest_ms }
}

async function countUnread({ tx, user }, uuid, readSeq) {
  let count = 0
  if (!uuid) return count
  await tx.backwards(['message', uuid], LAST, (message) => {
    if (message.seq > readSeq && message.author !== user) count += 1
    return message.seq > readSeq && count < UNREAD_AT_MOST
  })
  return count
}

/** What a page's messages are told with: how far the user and the others are. */
async function whereabouts({ tx, user }, names, { read_seq }) {
  const [members, marks] = await Promise.all([tx.all('member', names.uuid), tx.all('watermark', names.uuid)])
  const of = new Map(marks.map(([[who], mark]) => [who, mark]))
  const others = members
    .filter(([[who]]) => who !== user)
    .map(([[who]]) => of.get(who) ?? { read_seq: 0, delivered_seq: 0 })
  return { names, read_seq, others }
}

/** The newest first: what was sent here and has not come down, then by number. */
async function messagesBefore(look, where, before, limit) {
  const found = []
  if (!before || before.sender) {
    const end = before ? before.sender.number : Infinity
    const pending = (await pendingIn(look, where)).filter((row) => row.number < end)
    for (const row of pending.slice(-limit).reverse()) found.push(await shownMessage(look, where, row, null))
  }
  let end = before?.seq || LAST
  while (where.names.uuid && found.length < limit) {
    const page = []
    await look.tx.backwards(['message', where.names.uuid], end, (message) => page.push(message) < limit)
    found.push(...(await toldMessages(look, where, page)))
    if (page.length < limit) break
    end = page.at(-1).seq
  }
  return found.filter(Boolean).slice(0, limit)
}

/** The oldest first, from the message `first` on. */
async function messagesFrom(look, where, first, limit) {
  const found = []
  let begin = first.seq
  while (!first.sender && found.length < limit) {
    const page = await look.tx.onwards(['message', where.names.uuid], begin, limit)
    found.push(...(await toldMessages(look, where, page)))
    if (page.length < limit) break
    begin = page.at(-1).seq + 1
  }
  const pending = (await pendingIn(look, where)).filter((row) => row.number >= (first.sender?.number ?? 0))
  for (const row of pending.slice(0, Math.max(0, limit - found.length))) {
    found.push(await shownMessage(look, where, row, null))
  }
  return found.filter(Boolean).slice(0, limit)
}

/** Less those that the user deletes. */
async function toldMessages(look, where, page) {
  const shown = await Promise.all(page.map((each) => shownMessage(look, where, null, each)))
  return shown.filter(Boolean)
}

/** What is said once more under its name may be in the base since long. */
async function pendingIn({ tx, rows }, { names }) {
  const its = rows.filter((row) => row.kind === 'sendingNewMessage' && isIn(row, names))
  const isTold = await Promise.all(its.map((row) => tx.get('named', row.local)))
  return its.filter((_, at) => !isTold[at])
}

async function shownMessage(look, where, row, told) {
  const base = row
    ? messageMade(row, look.user, await shownName(look, look.user))
    : await toldMessage(look, where, told)
  const rows = [base.uuid, base.local].flatMap((name) => (name && look.onTop.get(name)) || [])
  rows.sort((a, b) => a.number - b.number)
  const message = overlaidMessage({ ...base, conversation: where.names.key }, rows, look.user)
  return message && { ...message, key: message.local || message.uuid }
}

async function toldMessage(look, where, told) {
  const { tx, user } = look
  const [edit, reactions, author_name, replied] = await Promise.all([
    tx.get('edit', where.names.uuid, told.uuid),
    tx.all('reaction', where.names.uuid, told.uuid),
    shownName(look, told.author),
    told.reply_to ? tx.get('named', told.reply_to) : null,
  ])
  const answered = replied ? await tx.get('message', where.names.uuid, replied.seq) : null
  return {
    ...told,
    author_name,
    text: edit?.text ?? told.text,
    is_edited: edit !== undefined,
    change: edit?.event ?? told.uuid,
    reply_to: answered?.local || told.reply_to,
    reactions: grouped(reactions),
    ...(told.author === user ? ownState(told.seq, where.others) : othersState(told.seq, where)),
  }
}

function grouped(reactions) {
  const found = new Map()
  for (const [[reaction, user], { is_there }] of reactions) {
    if (is_there) found.set(reaction, [...(found.get(reaction) ?? []), user])
  }
  return [...found].map(([reaction, users]) => ({ reaction, users }))
}

/** How far one of the user's own has come. */
function ownState(seq, others) {
  const read_by = others.filter((mark) => mark.read_seq >= seq).length
  const delivered_to = others.filter((mark) => Math.max(mark.read_seq, mark.delivered_seq) >= seq).length
  const count = others.length
  const all = count && delivered_to === count
  return { state: all ? (read_by === count ? 'read' : 'delivered') : 'sent', read_by, delivered_to, others: count }
}

const othersState = (seq, where) => ({
  state: seq <= where.read_seq ? 'read' : 'delivered',
  others: where.others.length,
})

/** Asked once a look, however much somebody says. */
function shownName({ tx, names }, user) {
  if (!names.has(user))
    names.set(
      user,
      tx.get('person', user).then((person) => person?.display || person?.name || ''),
    )
  return names.get(user)
}

async function readMembers(look, names) {
  const { tx } = look
  const [members, marks] = await Promise.all([tx.all('member', names.uuid), tx.all('watermark', names.uuid)])
  const of = new Map(marks.map(([[who], mark]) => [who, mark]))
  const base = members.map(([[user], { is_owner }]) => {
    const mark = { read_seq: 0, delivered_seq: 0, ...of.get(user) }
    const delivered_seq = Math.max(mark.read_seq, mark.delivered_seq)
    return { conversation: names.key, user, name: '', display: '', is_owner, read_seq: mark.read_seq, delivered_seq }
  })
  const rows = look.rows.filter((row) => isIn(row, names) && ['memberJoined', 'memberLeft'].includes(row.kind))
  const shown = overlaidMembers(base, names.maker ? [names.maker, ...rows] : rows, look.user)
  return Promise.all(
    shown.map(async (member) => {
      const person = await tx.get('person', member.user)
      const name = person?.name || member.name
      const { display, picture, picture_sha256 } = { ...A_PERSON, ...person }
      return { ...member, name, display, picture, picture_sha256 }
    }),
  )
}

async function readProfile(look, user) {
  const its = await look.tx.get('person', user)
  if (!its && user !== look.user) return null
  const { change: name_change, ...person } = { ...A_PERSON, ...its }
  const kinds = user === look.user ? ['displayNameChanged', 'profilePictureChanged'] : []
  return overlaidProfile(
    { user, ...person, name_change },
    look.rows.filter((row) => kinds.includes(row.kind)),
  )
}

async function readInvites(look) {
  const rows = look.rows.filter((row) => row.kind === 'inviteDecided')
  return (await look.tx.all('invite')).map(([, invite]) => overlaidInvite(invite, rows))
}

// -- the wire ---------------------------------------------------------------------------------------

const SILENCE_MS = 60_000 // a host gives a sign of life every 25 s
const ANSWER_MS = 30_000
const EVENTS_PER_FRAME = 100
const CODES = new Set([
  ...['NO_SESSION', 'TOKEN_EXPIRED', 'DEVICE_REVOKED', 'RATE_LIMITED', 'SNAPSHOT_BUSY', 'QUEUE_HOLE', 'INVALID'],
  ...['TOO_LARGE', 'NOT_A_MEMBER', 'DISPLACED', 'STOPPING', 'UNAVAILABLE', 'INTERNAL'],
])
/** What only a host can judge, that an event is wrong, is believed of a host alone: no proxy's error
 * costs the user a message. */
const OF_HTTP = {
  401: 'NO_SESSION',
  413: 'TOO_LARGE',
  429: 'RATE_LIMITED',
  500: 'INTERNAL',
  502: 'UNAVAILABLE',
  503: 'UNAVAILABLE',
  504: 'UNAVAILABLE',
}
const OF_STATUS = {
  unauthenticated: 'NO_SESSION',
  resource_exhausted: 'RATE_LIMITED',
  unavailable: 'UNAVAILABLE',
  deadline_exceeded: 'UNAVAILABLE',
  aborted: 'UNAVAILABLE',
  unimplemented: 'UNREACHABLE',
}

/** There is no answer, or the stream is over without having been ended. `fault.code` says what the
 * device does next. */
export class CallFailed extends Error {
  constructor(code, said, its = {}) {
    super(`${code}: ${said}`)
    this.fault = { code, text: said, retry_s: null, next_number: 0, ...its }
  }
}

class Wire {
  #url
  #device

  /** `device`: has the owner of this moment, and is told which token was taken, and which was not. */
  constructor(url, device) {
    this.#url = url.replace(/\/+$/, '')
    this.#device = device
  }

  submit(input, signal) {
    return this.#unary('Sync', input, signal)
  }

  history(request) {
    return this.#unary('History', request)
  }

  /** Of SyncFromServer, the data of its frames, as many at once as have come. */
  async *stream(request, signal, opened) {
    const silence = new Deadline(SILENCE_MS, signal)
    try {
      const answer = await this.#post('SyncFromServer', request, silence.signal, { accept: 'text/event-stream' })
      if (!answer.headers.get('content-type')?.startsWith('text/event-stream')) throw notAHost(answer)
      opened()
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader()
      let rest = ''
      for (let part = await reader.read(); !part.done; part = await reader.read()) {
        silence.renew()
        const blocks = (rest + part.value).split('\n\n')
        rest = blocks.pop()
        const frames = blocks.map(frameOf)
        const ending = frames.findIndex((frame) => frame.event === 'error')
        const good = ending < 0 ? frames : frames.slice(0, ending)
        if (good.length) yield good.map((frame) => frame.data)
        if (ending >= 0) throw failedAs(JSON.parse(frames[ending].data), new Headers())
      }
    } catch (error) {
      throw renamedFault(error)
    } finally {
      silence.end()
    }
  }

  async #unary(rpc, message, signal) {
    const deadline = new Deadline(ANSWER_MS, signal)
    try {
      const answer = await this.#post(rpc, message, deadline.signal, {})
      const said = await answer.json()
      if (said === null || typeof said !== 'object') throw new SyntaxError('it is no message')
      return said
    } catch (error) {
      throw renamedFault(error)
    } finally {
      deadline.end()
    }
  }

  /** Under the token that came last; if the host does not take that, under the one before. */
  async #post(...request) {
    for (;;) {
      const { device } = this.#device.owner
      const token = tokenOf(this.#device.owner)
      const answer = await this.#postUnder(token, device, ...request)
      if (answer.ok) {
        await this.#device.tokenWorked(token)
        return answer
      }
      const refusal = await refusalOf(answer)
      if (!SIGN_IN.includes(refusal.fault.code) || !(await this.#device.tokenRefused(token))) throw refusal
    }
  }

  #postUnder(token, device, rpc, message, signal, headers) {
    return fetch(`${this.#url}/postbox.v1.EventService/${rpc}`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        authorization: `Bearer ${token}`,
        ...(claimsOf(token)?.device ? {} : { 'postbox-device': device }), // a header takes no name but in Latin letters
        ...headers,
      },
      body: JSON.stringify(message),
      signal,
      cache: 'no-store',
      credentials: 'omit',
      redirect: 'error',
    })
  }
}

/** A signal that says stop when the other one does, or when nothing was heard for so long. */
class Deadline {
  #ending = new AbortController()
  #ms
  #timer

  constructor(ms, signal) {
    this.#ms = ms
    this.signal = signal ? AbortSignal.any([signal, this.#ending.signal]) : this.#ending.signal
    this.renew()
  }

  renew() {
    clearTimeout(this.#timer)
    const said = `it said nothing for ${this.#ms / 1000} s`
    this.#timer = setTimeout(() => this.#ending.abort(new CallFailed('UNREACHABLE', said)), this.#ms)
  }

  end() {
    clearTimeout(this.#timer)
    this.#ending.abort()
  }
}

/** A server-sent event (WHATWG HTML, 9.2), as far as a host writes them. */
function frameOf(block) {
  const frame = { event: 'message', data: '' }
  for (const line of block.split('\n')) {
    if (line.startsWith('data: ')) frame.data += line.slice(6)
    else if (line.startsWith('event: ')) frame.event = line.slice(7)
  }
  return frame
}

async function refusalOf(answer) {
  const body = await answer.text().catch(() => '')
  const isJson = answer.headers.get('content-type')?.startsWith('application/json')
  if (isJson) {
    try {
      return failedAs(JSON.parse(body), answer.headers)
    } catch {
      // no error of Connect's: the status speaks
    }
  }
  const named = answer.headers.get('postbox-code')
  const code = CODES.has(named) ? named : (OF_HTTP[answer.status] ?? 'UNREACHABLE')
  const said = `HTTP status ${answer.status}: ${body.trim().slice(0, 200) || 'instead of an answer'}`
  return new CallFailed(code, said, metadataOf(answer.headers, body))
}

/** A code of ours counts first, in the header or before the text. */
function failedAs({ code: status, message = '' }, headers) {
  const named = [headers.get('postbox-code'), message.split(':')[0]].find((code) => CODES.has(code))
  const its = metadataOf(headers, message)
  let code = named ?? OF_STATUS[status] ?? 'INTERNAL'
  if (code === 'QUEUE_HOLE' && !its.next_number) code = 'INTERNAL'
  const said = message.startsWith(`${code}: `) ? message.slice(code.length + 2) : message
  return new CallFailed(code, said, its)
}

function metadataOf(headers, said) {
  const retry = headers.get('retry-after') ?? ''
  const next = headers.get('postbox-next-queue-number') ?? /\bnext=(\d+)\b/.exec(said)?.[1] ?? '0'
  // A date is none: this device's clock may be wrong.
  return { retry_s: /^\d{1,9}$/.test(retry) ? Number(retry) : null, next_number: Number(next) }
}

const notAHost = (answer) =>
  new CallFailed('UNREACHABLE', `what answers there is no postbox: it sent ${answer.headers.get('content-type')}`)

function renamedFault(error) {
  if (error instanceof CallFailed || error instanceof Lost || error instanceof StoreFailed) return error
  if (error instanceof SyntaxError) return new CallFailed('INTERNAL', `the answer cannot be read: ${error.message}`)
  return new CallFailed('UNREACHABLE', 'the host cannot be reached')
}

function faultOf(error) {
  if (error instanceof CallFailed) return error.fault
  if (error instanceof Lost) return { code: 'LOST', text: error.message }
  if (error instanceof NoAnswer) return { code: 'INTERNAL', text: error.message }
  if (error instanceof StoreFailed) return { code: 'STORE', text: error.message }
  globalThis.reportError?.(error) // one of ours: it is seen in the console, and tried again
  return { code: 'INTERNAL', text: String(error) }
}

// -- what runs --------------------------------------------------------------------------------------

const OWES_MS = 3000 // the host tells "delivered" every 5 s at most; who answers has said it by that
const PAGE_EVENTS = 200
const PRUNE_MS = 600_000
const GIVEN_UP = { code: 'UNREACHABLE', text: 'given up for another try' }

/** Of the one tab that talks to the host: does what the machine says, and tells it what came of it.
 * Whatever is given up at any moment: what was committed stays, and what was not is asked for again.
 *
 * Each that begins counts the terms on by one, and commits nothing when that has gone on: so one that
 * a browser has frozen, and thaws when another has taken its place, does no harm. */
class Running {
  #device
  #store
  #wire
  #machine = new Machine(Math.random)
  #given = {} // AbortControllers of what may be given up: stream, queue
  #timers = {}
  #refusal = null
  #alone = '' // the row that was offered last, if that was the only one
  #owes = null
  #text = ''
  #nextMs = null // when the stream is opened again
  #pruning
  #term = 0

  constructor(device, store, wire) {
    this.#device = device
    this.#store = store
    this.#wire = wire
  }

  async start(isActive) {
    const begun = await this.#store.write(async (tx) => ({
      term: (tx.state.term += 1),
      place: tx.state.place,
      awaited: tx.state.awaited,
      queued: await tx.waiting(),
      holes: await tx.count('hole'),
    }))
    this.#term = begun.term
    this.#pruning = setInterval(() => this.#prune(), PRUNE_MS)
    this.tell({ type: 'Started', ...begun, is_active: isActive })
    void this.#prune() // a page is seldom open for as long as that
  }

  stop() {
    clearInterval(this.#pruning)
    clearTimeout(this.#owes)
    this.tell({ type: 'Stopped' })
  }

  tell(happened) {
    for (const action of this.#machine.handle(happened)) this.#do(action)
  }

  #do(action) {
    switch (action.type) {
      case 'OpenStream':
        return void this.#follow(Boolean(action.token || action.uuid), action.is_inactive)
      case 'CloseStream':
        return this.#given.stream?.abort()
      case 'Offer':
        return void this.#offer(action.number, action.limit)
      case 'AskNumber':
        return void this.#offer(0, 0)
      case 'CancelOffer':
        return this.#given.queue?.abort()
      case 'RefuseOldest':
        this.#refusal = action
        return
      case 'FillHoles':
        return void this.#fillHoles()
      case 'WakeAt':
        return this.#wakeAt(action.timer, action.in_s)
      case 'AskToken':
        return void this.#askToken()
      default:
        return this.#isNow(action)
    }
  }

  #isNow({ status, why }) {
    const said = why && !['live', 'stopped'].includes(status) ? this.#text : ''
    this.#device.isNow({ connection: status, why, text: said, next_ms: this.#nextMs }, this)
  }

  #wakeAt(timer, inS) {
    clearTimeout(this.#timers[timer])
    if (timer === 'stream') this.#nextMs = inS === null ? null : Date.now() + inS * 1000
    if (inS === null) return
    this.#timers[timer] = setTimeout(() => {
      if (timer === 'stream') this.#nextMs = null
      this.tell({ type: 'Woke', timer })
    }, inS * 1000)
  }

  #failed(error) {
    const fault = faultOf(error)
    this.#text = fault.text || this.#text
    return fault
  }

  async #askToken() {
    try {
      await this.#device.renewToken()
      this.tell({ type: 'SignedIn' })
    } catch (error) {
      this.#text = error.message
      this.tell({ type: 'TokenNotHad', is_lasting: error instanceof SignInNeeded })
    }
  }

  #write(work) {
    return this.#store.write((tx) => {
      if (tx.state.term !== this.#term) throw new StoreFailed('another tab talks to the host')
      return work(tx)
    })
  }

  // - the stream

  async #follow(goesOn, isInactive) {
    const given = (this.#given.stream = new AbortController())
    let fault = null
    try {
      await this.#followed(goesOn, isInactive, given.signal)
    } catch (error) {
      fault = this.#failed(error)
    }
    this.tell({ type: 'StreamEnded', fault })
  }

  /** Frames that come while a commit runs go together into the next one. */
  async #followed(goesOn, isInactive, signal) {
    const { place, heads } = await this.#write(async (tx) => {
      await TAKES.SnapshotDropped(tx)
      const told = await tx.all('conversation')
      return { place: tx.state.place, heads: Object.fromEntries(told.map(([[uuid], its]) => [uuid, its.reached])) }
    })
    const from = goesOn ? { lastEventUuid: place.uuid, resumeToken: place.token } : {}
    const request = { ...from, eventsPerFrame: EVENTS_PER_FRAME, inactive: isInactive }
    const reader = new Reader(this.#device.owner.user, place, heads)
    const opened = () => {
      this.#said()
      this.tell({ type: 'StreamOpened' })
    }
    for await (const frames of this.#wire.stream(request, signal, opened)) await this.#commit(reader, frames)
  }

  /** What comes before a frame that does not go on is committed all the same. */
  async #commit(reader, frames) {
    const [taken, lost] = takenOf(reader, frames)
    const [changes, left] = await this.#write(async (tx) => {
      const told = []
      for (const each of taken) {
        told.push(...(await takeIn(tx, each.changes, Date.now())))
        tx.state.place = each.place
      }
      return [told, { queued: await tx.waiting(), holes: await tx.count('hole') }]
    })
    this.#owe(changes)
    this.#device.heard(
      changes,
      taken.flatMap((each) => each.passing),
    )
    if (taken.length) this.tell({ type: 'Heard', ...heardOfAll(taken), ...left })
    if (lost) throw lost
  }

  /** That messages of others have come: the host makes their "delivered" from the token that each
   * request carries. A device that only listens makes one for that, seldom. */
  #owe(changes) {
    const isOthers = (change) => change.type === 'MessageCame' && change.author !== this.#device.owner.user
    if (!changes.some(isOthers)) return
    this.#owes ??= setTimeout(() => void this.#acknowledge(), OWES_MS)
  }

  /** One that is lost is said with the next, or with the next stream. */
  async #acknowledge() {
    this.#owes = null
    const place = await this.#store.read((tx) => tx.state.place).catch(() => null)
    if (place) await this.#wire.submit({ resumeToken: place.token }).catch(() => {})
  }

  #said() {
    clearTimeout(this.#owes)
    this.#owes = null
  }

  // - the queue

  /** `limit` 0: only to be told which number is awaited. */
  async #offer(number, limit) {
    const given = (this.#given.queue = new AbortController())
    const refusal = this.#refusal
    this.#refusal = null
    let rows = []
    try {
      if (refusal) await this.#refuseOldest(refusal)
      const [found, place] = await this.#store.read(async (tx) => [
        await batchOf(tx, Math.max(limit, 1)),
        tx.state.place,
      ])
      rows = found
      this.#alone = rows.length === 1 ? rows[0].local : ''
      this.tell(await this.#answered(rows.slice(0, limit), number, place.token, given.signal))
    } catch (error) {
      const isGivenUp = given.signal.aborted
      const fault = isGivenUp ? GIVEN_UP : this.#failed(error)
      if (!isGivenUp) await this.#note(rows, fault)
      this.tell({ type: 'NotAnswered', fault, offered: Math.min(rows.length, limit) })
    }
  }

  async #answered(rows, number, token, signal) {
    const input = { events: rows.map((row) => row.event) }
    if (number) input.firstQueueNumber = String(number)
    if (token) input.resumeToken = token
    this.#said()
    const verdict = settle(
      rows.map((row) => row.sent_as),
      await this.#wire.submit(input, signal),
    )
    const left = await this.#write((tx) => takeVerdict(tx, verdict))
    this.#device.moved(rows)
    return { type: 'Answered', left, next_number: verdict.next_number }
  }

  async #refuseOldest({ code, detail }) {
    const rows = await this.#write(async (tx) => {
      const row = await tx.rowBy('local', this.#alone)
      if (row?.standing !== QUEUED) return []
      tx.outbox.put({ ...row, standing: REFUSED, code, detail })
      return [row]
    })
    this.#device.moved(rows)
  }

  /** So that a row can say why it is still there. */
  async #note(rows, { code, text: said = '' }) {
    if (!rows.length) return
    await this.#write((tx) => noteTried(tx, rows, `${code}: ${said}`, Date.now())).catch(() => {})
    this.#device.tell([['queue', '']])
  }

  // - what is missing in the middle of a conversation

  /** Page by page, as far as there are answers; what is not answered stays. */
  async #fillHoles() {
    let left = 1 // one, if the device cannot even look
    const asked = new Set()
    try {
      for (;;) {
        const holes = await this.#store.read((tx) => tx.all('hole'))
        const next = holes.filter(([key, { after }]) => !asked.has(`${key} ${after}`))
        left = holes.length
        if (!next.length) break
        for (const [key, { after }] of next) {
          asked.add(`${key} ${after}`)
          await this.#device.fetchOlder(key[0], key[1], PAGE_EVENTS).catch(faultOf)
        }
      }
    } catch (error) {
      faultOf(error)
    }
    this.tell({ type: 'HolesFilled', left })
  }

  async #prune() {
    await this.#write((tx) => prune(tx, Date.now())).catch(() => {})
  }
}

function takenOf(reader, frames) {
  const taken = []
  try {
    for (const frame of frames) taken.push(reader.take(frame))
    return [taken, null]
  } catch (error) {
    if (error instanceof Lost) return [taken, error]
    throw error
  }
}

// -- the device -------------------------------------------------------------------------------------

const FROZEN_MS = 10_000 // a tab that lives answers in milliseconds
const LEADER_MS = 30_000 // between two questions whether it does
const LEAD_AGAIN_MS = 60_000 // by who could not even begin: the disk may have room then
const TYPING_MS = 4000 // it lasts 10 s at the others', so one that is lost does no harm

/** For what lasts a while: people set their clocks. */
const elapsedMs = () => performance.now()

const NO_TOKEN = 'this is no token: it has three parts with points between'
const NOBODY = 'nobody has signed in here yet'

/** There is no token, or not a good one: the user has to sign in. */
export class SignInNeeded extends Error {}

/** The token is for another user or device than this database's. */
export class AnotherOwner extends Error {}

/** Whose a token is: { user, name, device, expires_ms }. null: it is none. It is read here and not
 * checked: the host does that. */
export function claimsOf(token) {
  try {
    const part = token.split('.')[1].replaceAll('-', '+').replaceAll('_', '/')
    const { sub, device = '', exp } = JSON.parse(new TextDecoder().decode(base64Bytes(part)))
    if (typeof sub !== 'string' || !sub) return null
    return { user: userUuid(sub), name: sub, device, expires_ms: exp ? exp * 1000 : null }
  } catch {
    return null
  }
}

/** Opens the database, and makes it if there is none. Throws SignInNeeded, if there is no token
 * either, AnotherOwner, StoreFailed.
 *
 * `url`: of the host. `token`: as the operator or the issuer gave it; it is kept. `renew`: gives
 * another one when the host wants that; it throws SignInNeeded if the user has to do something.
 * `device`: what this browser is called, where the token does not say. */
export async function openDevice({ url, token = '', renew = null, database = 'postbox', device = '' }) {
  if (!globalThis.navigator?.locks || !globalThis.indexedDB) {
    throw new StoreFailed('this browser keeps nothing here: the page has to come over https, or from localhost')
  }
  const opened = new Device(url, database, renew)
  await opened.open(token, device)
  return opened
}

/** What an app holds. Events: 'signedout'; and 'change', whose detail is a Map from what changed to where: of
 * 'conversation', 'message', 'members' and 'typing' a Set of conversations, by one of their names; of 'user' a Set of
 * users' uuids; 'queue', 'connected', 'status', 'invites' and 'guilds' have none. '' in a Set is any of them. */
class Device extends EventTarget {
  #url
  #name
  #renew
  #store
  #wire
  #channel
  #running = null // in the tab that has the lock
  #ended = new AbortController()
  #release = null
  #isActive = true
  #until = new Map() // of each conversation who types in it, of '' who is connected, and until when
  #nearbyTimer
  #looking = null // until it aborts
  #leaderTimer
  #typedMs = new Map()
  #taken = '' // the token that the host took last
  #waiting = new Map() // what to tell next
  owner
  status = { connection: 'connecting', why: '', text: '', next_ms: null }

  constructor(url, name, renew) {
    super()
    this.#url = url
    this.#name = name
    this.#renew = renew
    this.#wire = new Wire(url, this)
  }

  async open(token, device) {
    this.#store = await Store.open(this.#name, Boolean(claimsOf(token)), () => this.#lost())
    if (!this.#store) throw new SignInNeeded(token ? NO_TOKEN : NOBODY)
    try {
      await this.#own(token, device)
    } catch (error) {
      this.#store.close()
      throw error
    }
    this.#channel = new BroadcastChannel(`postbox ${this.#name}`)
    this.#channel.onmessage = ({ data }) => this.#hear(data)
    this.#lead()
    this.#askLeader()
  }

  /** Whose it is, for good: what is queued is not to be sent in another name. */
  async #own(token, device) {
    const claims = claimsOf(token)
    if (token && !claims) throw new SignInNeeded(NO_TOKEN)
    this.owner = await this.#store.write(async (tx) => {
      const known = await result(tx.device.get('owner'))
      if (!known && !claims) throw new SignInNeeded(NOBODY)
      const owner = claims ? ownerOf(known, claims, token, device) : known
      tx.device.put(owner, 'owner')
      await knowOwner(tx)
      return owner
    })
  }

  /** One tab talks to the host. Whoever has the lock does, until it is closed, crashes, or is robbed
   * of it. `how`: `{ steal: true }` robs. */
  #lead(how = { signal: this.#ended.signal }) {
    const running = new Running(this, this.#store, this.#wire)
    navigator.locks
      .request(`postbox ${this.#name}`, how, async () => {
        if (this.#ended.signal.aborted) return
        this.#running = running
        await running.start(await this.#isLookedAt())
        await new Promise((resolve) => (this.#release = resolve))
      })
      .catch((error) => this.#leadsNoMore(running, error, Boolean(how.steal)))
  }

  /** `isRobber`: it has robbed another of the lock, and stands in line for it besides. */
  #leadsNoMore(running, error, isRobber) {
    if (this.#ended.signal.aborted) return
    if (this.#running === running) this.#running = null // before it stops: others would take that for theirs
    running.stop()
    if (error.name === 'AbortError') {
      if (!isRobber) this.#lead()
      return this.#askLeader() // what it said while this tab stood still was not listened to
    }
    if (!isRobber) setTimeout(() => this.#ended.signal.aborted || this.#lead(), LEAD_AGAIN_MS)
    if (!this.#running) this.isNow({ connection: 'stopped', why: 'STORE', text: error.message, next_ms: null }, null)
  }

  /** A browser may freeze the tab that has the lock, and not this one, which somebody looks at. */
  #askLeader() {
    clearTimeout(this.#leaderTimer)
    if (this.#running || !this.#isActive) return
    this.#say('who')
    this.#leaderTimer = setTimeout(() => this.#running || this.#lead({ steal: true }), FROZEN_MS)
  }

  #leaderLives() {
    clearTimeout(this.#leaderTimer)
    this.#leaderTimer = setTimeout(() => this.#askLeader(), LEADER_MS)
  }

  /** Nothing more is told; the queue stays. */
  close() {
    this.#ended.abort()
    this.#running?.stop()
    this.#running = null
    this.#release?.()
    clearTimeout(this.#nearbyTimer)
    clearTimeout(this.#leaderTimer)
    this.#channel?.close()
    this.#store.close()
  }

  /** The user cleared the data of this site, or the browser made room. */
  #lost() {
    this.close()
    const text = 'the browser took away what was kept'
    this.#isTold({ connection: 'stopped', why: 'STORE', text, next_ms: null })
  }

  /** Everything of this device is gone, what was not sent, too; in all tabs. */
  async signOut() {
    this.#say('signed out')
    await this.#store.erase().catch(() => {}) // a tab that is frozen keeps the database itself from going
    this.close()
    await new Promise((resolve) => {
      const request = indexedDB.deleteDatabase(this.#name)
      request.onsuccess = request.onerror = request.onblocked = resolve
    })
    this.dispatchEvent(new Event('signedout'))
  }

  /** A new token for the same user and device: the queue goes on where it was. Anybody may have made
   * it: the one before is kept until the host has taken this one. */
  async signIn(token) {
    await this.#own(token, this.owner.device)
    this.#say('token')
    this.#running?.tell({ type: 'SignedIn' })
  }

  /** The host wants another one than it took last. */
  async renewToken() {
    const { next } = this.owner
    if (next && next !== this.#taken) return // it is tried now, and the one before behind it
    if (next) await this.tokenRefused(next)
    if (!next && !this.#renew) throw new SignInNeeded('the host takes the token no more: sign in again')
    if (!this.#renew) return // the one before is tried
    await this.#own(await this.#renew(), this.owner.device)
    this.#say('token')
  }

  /** The host has taken it. One that is good for less long than the one before does not replace it. */
  async tokenWorked(token) {
    this.#taken = token
    if (token !== this.owner.next || lastsUntil(token) < lastsUntil(this.owner.token)) return
    await this.#changeOwner((known) => (known.next === token ? { ...known, token, next: '' } : known))
  }

  /** The host has not. Returns whether there is another one by now. */
  async tokenRefused(token) {
    if (token === this.owner.next) {
      await this.#changeOwner((known) => (known.next === token ? { ...known, next: '' } : known))
    }
    return tokenOf(this.owner) !== token
  }

  async #changeOwner(change) {
    this.owner = await this.#store.write(async (tx) => {
      const owner = change(await result(tx.device.get('owner')))
      tx.device.put(owner, 'owner')
      return owner
    })
  }

  // - what the user does

  /** Kept when it resolves, sent when there is a connection. `once`: under which local uuid it is
   * done once only. Returns its row. Throws NoSuchAct, Unknown, StoreFailed. */
  async act(act, once = newUuid()) {
    const made = outgoing(act, once, Date.now())
    const row = await this.#store.write((tx) => makeRow(tx, made, Date.now()))
    if (act.type === 'SendMessage') this.#typedMs.delete(act.conversation)
    this.#made([row])
    return row
  }

  /** Sends what was refused once more, with all that was made of it. Throws NotByItself, Unknown. */
  async again(local) {
    this.#made(await this.#store.write((tx) => againRow(tx, local)))
  }

  /** Drops what was refused. `isWhole`: with the messages in it, if it is a conversation. */
  async dismiss(local, isWhole = false) {
    this.moved(await this.#store.write((tx) => dismissRow(tx, local, isWhole)))
  }

  #made(rows) {
    if (this.#running) this.#running.tell({ type: 'Made', count: 1 })
    else this.#say('made')
    this.moved(rows)
  }

  /** Told while there is a connection, and forgotten otherwise. */
  async typing(conversation, isOver = false) {
    const before = this.#typedMs.get(conversation)
    if (this.status.connection !== 'live' || (isOver && before === undefined)) return
    if (!isOver && elapsedMs() - (before ?? -TYPING_MS) < TYPING_MS) return
    if (isOver) this.#typedMs.delete(conversation)
    else this.#typedMs.set(conversation, elapsedMs())
    try {
      const { uuid } = (await this.#look((look) => conversationNamed(look.tx, conversation))) ?? {}
      const event = { userIsTyping: { conversationUuid: uuid, isOver }, conversationUuid: uuid }
      if (uuid) await this.#wire.submit({ events: [event] })
    } catch {
      // it is said again, or is over
    }
  }

  /** Fetches what was said before the oldest that is here. Returns whether there is more still.
   * Throws CallFailed. */
  async older(conversation, limit = 50) {
    const found = await this.conversation(conversation)
    return found?.has_older ? this.fetchOlder(found.uuid, found.oldest_seq, limit) : false
  }

  async fetchOlder(conversation, beforeSeq, limit) {
    const request = { conversationUuid: conversation, beforeSeq: String(beforeSeq), limit }
    const page = pageOf(await this.#wire.history(request))
    await this.#store.write((tx) => takeHistory(tx, conversation, page, beforeSeq, Date.now()))
    this.tell([['message', conversation]])
    return page.has_more
  }

  // - what the user sees: plain values, of the moment

  /** The one in which something was said last first. */
  conversations() {
    return this.#look(async (look) => {
      const told = (await look.tx.all('conversation')).map(([[uuid]]) => uuid)
      const made = look.rows.filter((row) => row.kind === 'conversationCreated').map((row) => row.local)
      const names = await Promise.all([...told, ...made].map((name) => conversationNamed(look.tx, name)))
      const single = new Map(names.filter(Boolean).map((each) => [each.key, each]))
      const found = await Promise.all([...single.values()].map((each) => readConversation(look, each)))
      return found.filter(Boolean).sort((a, b) => b.newest_ms - a.newest_ms || (a.key < b.key ? -1 : 1))
    })
  }

  /** null: the user is not in it, or leaves it. */
  conversation(name) {
    return this.#look(async (look) => {
      const names = await conversationNamed(look.tx, name)
      return names && readConversation(look, names)
    })
  }

  /** A page of them, the oldest first: the newest; or those before the message of that key; or that one (`from`) and
   * those behind it. None, if there is no such message. */
  messages(conversation, { before = '', from = '', limit = 50 } = {}) {
    return this.#look(async (look) => {
      const names = await conversationNamed(look.tx, conversation)
      const shown = names && (await shownConversation(look, names))
      if (!shown) return []
      const end = before || from ? await messageNamed(look.tx, before || from) : null
      if ((before || from) && (!end || !isIn(end, names))) return []
      const where = await whereabouts(look, names, shown)
      return from ? messagesFrom(look, where, end, limit) : (await messagesBefore(look, where, end, limit)).reverse()
    })
  }

  members(conversation) {
    return this.#look(async (look) => {
      const names = await conversationNamed(look.tx, conversation)
      return names ? readMembers(look, names) : []
    })
  }

  profile(user) {
    return this.#look((look) => readProfile(look, user))
  }

  invites() {
    return this.#look(readInvites)
  }

  guilds() {
    return this.#look(async (look) => (await look.tx.all('guild')).map(([, guild]) => guild))
  }

  /** What is not done, in order: each with its `act`. */
  queue() {
    return this.#look((look) => look.rows.map((row) => ({ ...row, act: actOf(row.event) })))
  }

  #look(work) {
    return this.#store.read(async (tx) => work(lookOf(tx, this.owner.user, await tx.unfinished())))
  }

  // - what passes

  /** Who types there, but the user itself. `conversation`: its uuid. */
  typists(conversation) {
    return this.#nearby(conversation).filter((user) => user !== this.owner.user)
  }

  connected() {
    return this.#nearby('')
  }

  #nearby(where) {
    const now = elapsedMs()
    return [...(this.#until.get(where) ?? [])].filter(([, until]) => until > now).map(([user]) => user)
  }

  /** Told where it begins and where it ends. */
  #pass({ type, conversation, user, ttl_ms }) {
    const where = type === 'Typing' ? conversation : ''
    const users = this.#until.get(where) ?? new Map()
    const was = users.has(user)
    if (ttl_ms) this.#until.set(where, users.set(user, elapsedMs() + ttl_ms))
    else if (users.delete(user) && !users.size) this.#until.delete(where)
    if (was !== Boolean(ttl_ms)) this.#queueTelling([[type === 'Typing' ? 'typing' : 'connected', where]])
    this.#watchEnds()
  }

  #passing() {
    return [...this.#until].flatMap(([conversation, users]) =>
      [...users].map(([user, until]) => {
        const ttl_ms = Math.max(0, until - elapsedMs())
        return { type: conversation ? 'Typing' : 'Connected', conversation, user, ttl_ms }
      }),
    )
  }

  /** Of each end that nobody tells of. */
  #watchEnds() {
    clearTimeout(this.#nearbyTimer)
    const passing = this.#passing()
    if (!passing.length) return
    const inMs = Math.min(...passing.map((each) => each.ttl_ms))
    this.#nearbyTimer = setTimeout(() => {
      this.#passing().forEach((each) => each.ttl_ms || this.#pass(each))
      this.#watchEnds()
    }, inMs + 20)
  }

  // - what the page knows of the world

  /** There is a network, or another one. */
  networkUp() {
    if (this.#running) this.#running.tell({ type: 'NetworkUp' })
    else this.#say('network')
  }

  /** This device is to be the live one, where it is open elsewhere on a copy. */
  takeOver() {
    this.networkUp()
  }

  /** Whether somebody looks at this tab. Nobody at any: others do not see the user as connected. */
  async setActive(isActive) {
    this.#isActive = isActive
    this.#looking?.abort()
    if (isActive) {
      this.#looking = new AbortController()
      const signal = AbortSignal.any([this.#looking.signal, this.#ended.signal])
      const held = () => {
        this.#say('looking')
        return new Promise((resolve) => signal.addEventListener('abort', resolve))
      }
      const asked = navigator.locks.request(`postbox looked at ${this.#name}`, { mode: 'shared', signal }, held)
      asked.catch(() => {}).then(() => this.#say('looking'))
    }
    await this.#lookedAt()
    this.#askLeader()
  }

  /** A tab that is looked at holds a shared lock, which goes with it, however it goes. */
  async #isLookedAt() {
    const { held } = await navigator.locks.query()
    return this.#isActive || held.some((lock) => lock.name === `postbox looked at ${this.#name}`)
  }

  async #lookedAt() {
    if (!this.#running) return
    const is_active = await this.#isLookedAt()
    this.#running?.tell({ type: 'Activity', is_active })
  }

  // - between the tabs, and to the app

  #say(kind, its = {}) {
    if (!this.#ended.signal.aborted) this.#channel.postMessage({ kind, ...its })
  }

  #hear({ kind, ...its }) {
    const running = this.#running
    if (kind === 'changed') return this.#queueTelling(its.changes)
    if (kind === 'status') {
      if (running) return
      this.#leaderLives()
      return this.#isTold(its.status)
    }
    if (kind === 'passing') return its.passing.forEach((each) => this.#pass(each))
    if (kind === 'signed out') return this.#signedOutElsewhere()
    if (kind === 'token') return void this.#readOwner()
    if (!running) return
    if (kind === 'made') running.tell({ type: 'Made', count: 1 })
    else if (kind === 'network') running.tell({ type: 'NetworkUp' })
    else if (kind === 'looking') void this.#lookedAt()
    else if (kind === 'who') {
      this.#say('status', { status: this.status })
      this.#say('passing', { passing: this.#passing() })
    }
  }

  async #readOwner() {
    const owner = await this.#store.read((tx) => result(tx.device.get('owner'))).catch(() => null)
    if (!owner) return
    this.owner = owner
    this.#running?.tell({ type: 'SignedIn' })
  }

  #signedOutElsewhere() {
    this.close()
    this.dispatchEvent(new Event('signedout'))
  }

  /** `running`: who says so. One that leads no more has nothing to say. */
  isNow(status, running) {
    if (running !== this.#running) return
    this.#say('status', { status })
    this.#isTold(status)
  }

  #isTold(status) {
    this.status = status
    this.#queueTelling([['status', '']])
  }

  /** What was committed, and what passes. */
  heard(changes, passing) {
    const written = changes.filter((change) => change.type === 'MessageCame')
    const over = ({ conversation, author: user }) => ({ type: 'Typing', conversation, user, ttl_ms: 0 })
    const all = [...written.map(over), ...passing]
    if (all.length) this.#say('passing', { passing: all })
    all.forEach((each) => this.#pass(each))
    if (changes.some((change) => change.type === 'CaughtUp')) void this.#lookedAt()
    this.tell(changes.flatMap(toldOf))
  }

  /** Of the queue: they came, went, or became something else. */
  moved(rows) {
    this.tell([['queue', ''], ...rows.flatMap((row) => toldOfRow(row, this.owner.user))])
  }

  /** `changes`: pairs of what, and where or ''. */
  tell(changes) {
    if (!changes.length) return
    const single = [...new Map(changes.map((each) => [each.join(' '), each])).values()]
    this.#say('changed', { changes: single })
    this.#queueTelling(single)
  }

  /** However much changes, an app is told once a turn. */
  #queueTelling(changes) {
    const isFirst = !this.#waiting.size
    for (const [what, where] of changes) this.#waiting.set(what, (this.#waiting.get(what) ?? new Set()).add(where))
    if (!isFirst) return
    queueMicrotask(() => {
      const detail = this.#waiting
      this.#waiting = new Map()
      this.dispatchEvent(new CustomEvent('change', { detail }))
    })
  }
}

function ownerOf(known, { user, name, device: named }, token, device) {
  if (known && known.user !== user) {
    throw new AnotherOwner(`the token is ${name}'s, and what is kept here is ${known.name}'s: sign out first`)
  }
  if (known && named && named !== known.device) {
    throw new AnotherOwner(
      `the token is for the device "${named}", and this browser is "${known.device}": sign out first`,
    )
  }
  if (known) return token === known.token ? known : { ...known, next: token }
  return { user, name, device: named || device, token, next: '' }
}

/** `next` is one that the host has not taken yet, or that is good for less long than `token`. */
const tokenOf = ({ token, next }) => next || token

const lastsUntil = (token) => claimsOf(token)?.expires_ms ?? Infinity

const TOLD_AS = {
  SnapshotEnded: ['conversation', 'message', 'members', 'user', 'queue', 'invites', 'guilds'],
  KeptAgain: ['queue', 'message'],
  Settled: ['queue'],
  CaughtUp: ['queue'],
  UserMet: ['user'],
  DisplayNameChanged: ['user'],
  PictureChanged: ['user'],
  ConversationBegun: ['conversation'],
  ConversationForgotten: ['conversation'],
  ConversationMade: ['conversation'],
  ConversationRenamed: ['conversation'],
  MemberCame: ['members'],
  MemberWent: ['members'],
  ReadUpTo: ['message'],
  DeliveredUpTo: ['message'],
  MessageCame: ['message'],
  MessageEdited: ['message'],
  MessageDeleted: ['message'],
  ReactionAdded: ['message'],
  ReactionRemoved: ['message'],
  NumberErased: ['message'],
  GuildEntered: ['guilds'],
  GuildExited: ['guilds'],
  InviteCame: ['invites'],
  InviteDecided: ['invites'],
}

const toldOf = (change) =>
  (TOLD_AS[change.type] ?? []).map((what) => [what, (what === 'user' ? change.user : change.conversation) ?? ''])

const ROW_TOLD_AS = {
  conversationCreated: 'conversation',
  conversationNameChanged: 'conversation',
  memberJoined: 'members',
  memberLeft: 'members',
  displayNameChanged: 'user',
  profilePictureChanged: 'user',
  inviteDecided: 'invites',
}

function toldOfRow({ kind, conversation }, user) {
  const what = ROW_TOLD_AS[kind] ?? 'message'
  return [[what, what === 'user' ? user : conversation]]
}
