/** The chat page: it shows what the device says (sync.js), and tells it what its user does. */

import { newConversation, oneself, signInAgain, waiting } from './dialogs.js'
import { announce, h, icon, iconButton } from './dom.js'
import { enter, forgetPage, takeToken } from './entry.js'
import { face } from './faces.js'
import { EVERYTHING, Known } from './known.js'
import { drawList } from './list.js'
import { line } from './plain.js'
import { Room } from './room.js'
import { QUEUED, REFUSED, StoreFailed } from './sync.js'
import { connection, isLost, shown } from './words.js'

class Chat {
  open = '' // the key of the conversation that is shown
  #parts
  #room
  #drawing = null
  #isStale = false
  #known
  #changed = new Map() // since it was drawn
  #own = {} // the user's profile, queue and invites
  #announced = null // of each conversation the newest number; null: nothing was looked at yet
  #openDialogs = new Map()
  #isSignedOut = false

  constructor(device, root) {
    this.device = device
    this.me = device.owner.user
    this.#known = new Known(device)
    this.#room = new Room(this)
    this.#parts = this.#build(root)
    device.addEventListener('change', ({ detail }) => void this.draw(detail))
    device.addEventListener('signedout', () => {
      this.#isSignedOut = true
      location.reload()
    })
    this.#listen()
    this.open = keyIn(location.hash)
    void this.draw(EVERYTHING)
  }

  // - the frame

  #build(root) {
    const p = {
      own: h('button', {
        type: 'button',
        class: 'own-face',
        'aria-label': 'You',
        title: 'You',
        onclick: () => void oneself(this),
      }),
      word: h('p', { class: 'word', role: 'status' }),
      waits: h(
        'button',
        { type: 'button', class: 'round waits', onclick: () => waiting(this) },
        icon('waiting'),
        h('span', { class: 'count' }),
      ),
      list: h('ul', { class: 'list' }),
      banner: h('div', { class: 'banner', hidden: true }),
      empty: h('div', { class: 'empty' }),
    }
    p.root = root
    root.className = 'app'
    root.replaceChildren(
      h(
        'nav',
        { class: 'side', 'aria-label': 'Conversations' },
        h(
          'header',
          {},
          p.own,
          h('div', { class: 'titles' }, h('h1', {}, 'Chat'), p.word),
          p.waits,
          iconButton('add', 'New conversation', () => newConversation(this)),
        ),
        p.banner,
        p.list,
      ),
      h('main', {}, this.#room.element, p.empty),
    )
    return p
  }

  #listen() {
    window.addEventListener('popstate', () => this.#show(keyIn(location.hash)))
    window.addEventListener('online', () => this.device.networkUp())
    window.addEventListener('focus', () => void this.draw())
    window.addEventListener('pageshow', ({ persisted }) => persisted && void this.draw(EVERYTHING))
    const looks = () => void this.device.setActive(document.visibilityState === 'visible')
    document.addEventListener('visibilitychange', looks)
    looks()
    setInterval(() => this.#tick(), 1000)
  }

  /** The seconds until the next try run; nothing else does without a change. */
  #tick() {
    if (this.device.status.next_ms) this.#drawConnection()
  }

  // - what is shown

  /** However much changes meanwhile, it is drawn once more. `changed`: as the device says it. */
  draw(changed = new Map()) {
    for (const [what, where] of changed) {
      this.#changed.set(what, new Set([...(this.#changed.get(what) ?? []), ...where]))
    }
    this.#isStale = true
    this.#drawing ??= this.#drawWhileStale().finally(() => (this.#drawing = null))
    return this.#drawing
  }

  async #drawWhileStale() {
    try {
      while (this.#isStale) {
        this.#isStale = false
        await this.#drawAll()
      }
    } catch (error) {
      this.#changed = new Map(EVERYTHING)
      if (!(error instanceof StoreFailed)) throw error
      if (this.#isSignedOut) return
      this.#drawConnection()
      this.#complain(error.message)
    }
  }

  async #drawAll() {
    const changed = this.#changed
    this.#changed = new Map()
    await this.#known.take(changed)
    if (['user', 'queue', 'invites'].some((what) => changed.has(what))) await this.#readOwn()
    const entries = this.#known.list().map((entry) => ({ ...entry, typists: this.#typing(entry) }))
    const here =
      this.open && entries.find(({ conversation }) => [conversation.key, conversation.uuid].includes(this.open))
    if (here) this.open = here.conversation.key
    this.#drawSide(entries, this.#own)
    this.#parts.root.dataset.showing = here ? 'room' : entries.length ? 'list' : 'nothing'
    this.#room.element.hidden = !here
    this.#parts.empty.hidden = Boolean(here)
    if (here) await this.#room.draw(here, changed)
    for (const redraw of this.#openDialogs.values()) await redraw()
  }

  async #readOwn() {
    const { device, me } = this
    const [profile, queue, invites] = await Promise.all([device.profile(me), device.queue(), device.invites()])
    this.#own = { profile, queue, invites }
  }

  #drawSide(entries, { profile, queue, invites }) {
    const p = this.#parts
    const faceKey = JSON.stringify([profile.picture_sha256, shown(profile)])
    if (p.own.dataset.face !== faceKey) p.own.replaceChildren(face(profile, shown(profile)))
    p.own.dataset.face = faceKey
    const count = queue.filter(
      (row) => (row.standing === QUEUED || row.standing === REFUSED) && row.act.type !== 'Read',
    ).length
    const number = count + invites.filter((each) => each.answer === null).length
    p.waits.hidden = !number
    p.waits.classList.toggle(
      'bad',
      queue.some((row) => row.standing === REFUSED),
    )
    p.waits.querySelector('.count').textContent = number
    p.waits.setAttribute('aria-label', `What waits: ${number}`)
    p.waits.title = 'What waits'
    drawList(p.list, entries, { me: this.me, open: this.open, choose: (key) => this.choose(key) })
    const unread = entries.reduce((sum, { conversation }) => sum + conversation.unread, 0)
    document.title = unread ? `(${unread}) Chat` : 'Chat'
    p.empty.replaceChildren(...this.#emptiness(entries))
    this.#announceOthers(entries)
    this.#drawConnection()
  }

  #emptiness(entries) {
    if (entries.length) return [h('p', {}, 'Choose a conversation.')]
    if (!['live', 'offline'].includes(this.device.status.connection)) return [h('p', {}, 'One moment…')]
    return [
      h('p', {}, 'There is no conversation yet.'),
      h('button', { type: 'button', class: 'main', onclick: () => newConversation(this) }, 'Begin one'),
    ]
  }

  #drawConnection() {
    const { word, sentence, text = '' } = connection(this.device.status)
    const { connection: how } = this.device.status
    const p = this.#parts
    p.root.dataset.connection = how
    if (p.word.textContent !== word) p.word.textContent = word
    const deed = {
      'needs sign-in': ['Sign in again', () => signInAgain(this)],
      displaced: ['Use this one', () => this.device.takeOver()],
      offline: ['Try now', () => this.device.networkUp()],
    }[how]
    p.banner.hidden = !sentence
    const print = `${how} ${sentence} ${text}`
    if (p.banner.dataset.print === print) return
    p.banner.dataset.print = print
    const old = p.banner.querySelector('button')
    const button =
      deed &&
      (old?.textContent === deed[0] ? old : h('button', { type: 'button', class: 'link', onclick: deed[1] }, deed[0]))
    const said = h('p', { title: text }, sentence)
    if (button && button === old) old.previousElementSibling.replaceWith(said)
    else p.banner.replaceChildren(said, ...(button ? [button] : []))
  }

  #typing({ conversation: { uuid }, members }) {
    const typists = uuid ? this.device.typists(uuid) : []
    return typists.length ? members.filter((member) => typists.includes(member.user)).map(shown) : []
  }

  /** To who cannot see it: what others say from now on. */
  #announceOthers(entries) {
    const before = this.#announced
    this.#announced = new Map(before)
    for (const { conversation } of entries) {
      const { key, newest } = conversation
      const known = before?.get(key) ?? 0
      if (!newest?.seq || newest.seq <= known) continue
      this.#announced.set(key, newest.seq)
      if (before && newest.author !== this.me) announce(`${line(newest.author_name)}: ${line(newest.text)}`)
    }
  }

  // - where one is

  choose(key) {
    if (key === this.open && key) return
    history.pushState(null, '', key ? `#c=${key}` : location.pathname)
    this.#show(key)
    if (key) this.#room.focus()
  }

  #show(key) {
    this.#room.open(this.open, key)
    this.open = key
    void this.draw()
  }

  /** What fails here is said, and changes nothing. Returns whether it worked. */
  async attemptQuietly(work) {
    try {
      await work(this.device)
      return true
    } catch (error) {
      this.#complain(error.message)
      return false
    }
  }

  #complain(text) {
    const said = h('p', { class: 'complaint', role: 'alert' }, text)
    if (this.#room.element.hidden) this.#parts.banner.after(said)
    else this.#room.say(said)
    setTimeout(() => said.remove(), 8000)
  }

  // - for dialogs

  /** Does it, and says in `problem` why not. */
  async attempt(problem, work) {
    problem.textContent = ''
    await work().catch((error) => (problem.textContent = error.message))
  }

  /** Drawn now, and with each change until it is closed. */
  whileOpen(dialog, redraw) {
    this.#openDialogs.set(dialog, redraw)
    dialog.addEventListener('close', () => this.#openDialogs.delete(dialog))
    void redraw()
  }

  /** The users who are connected, as far as one can know: without a connection nobody says so. */
  here() {
    return new Set(isLost(this.device.status) ? [] : this.device.connected())
  }

  async signOut() {
    const waits = (await this.device.queue()).filter((row) => row.standing === QUEUED).length
    const lost = waits ? ` What was not sent yet (${waits}) will be lost.` : ''
    if (!confirm(`Sign out, and erase all that this browser keeps of the chat?${lost}`)) return
    this.#isSignedOut = true
    this.#room.forget()
    forgetPage()
    await this.device.signOut()
  }
}

const keyIn = (hash) => /^#c=([\w-]+)$/.exec(hash)?.[1] ?? ''

/** Another link was opened in this very tab. What is not for who is signed in here, and whatever is opened before
 * anybody is, is asked about by a page that begins anew. */
async function linked() {
  const token = takeToken()
  if (!token) return
  const isTaken = await chat?.device.signIn(token).then(
    () => true,
    () => false,
  )
  if (isTaken) return
  sessionStorage.setItem('postbox link', token)
  location.reload()
}

const root = document.getElementById('root')
const token = takeToken() || sessionStorage.getItem('postbox link') || ''
sessionStorage.removeItem('postbox link')
let chat = null
window.addEventListener('hashchange', () => void linked())
chat = new Chat(await enter(root, token), root)
