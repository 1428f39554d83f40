/** What the page says of times, states and the connection. */

import { line } from './plain.js'

const TIME = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' })
const DAY = new Intl.DateTimeFormat(undefined, { weekday: 'long', day: 'numeric', month: 'long' })
const FULL = new Intl.DateTimeFormat(undefined, { dateStyle: 'long', timeStyle: 'short' })
const SHORT = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short' })
const DAY_MS = 86_400_000

export const time = (ms) => TIME.format(ms)
export const full = (ms) => FULL.format(ms)
const startOfDay = (ms) => new Date(ms).setHours(0, 0, 0, 0)
const daysAgo = (ms) => Math.round((startOfDay(Date.now()) - startOfDay(ms)) / DAY_MS)

export function day(ms) {
  const ago = daysAgo(ms)
  return ago === 0 ? 'Today' : ago === 1 ? 'Yesterday' : DAY.format(ms)
}

/** For the list: the hour, or the day. */
export const lately = (ms) => (daysAgo(ms) === 0 ? TIME.format(ms) : daysAgo(ms) === 1 ? 'Yesterday' : SHORT.format(ms))

/** By which somebody is called here: the own name of the choice, or that of signing in. */
export const shown = (person) => line(person?.display || '') || line(person?.name || '') || 'Somebody'

/** How far an own message has come. */
export function stateOf({ state, others, delivered_to, read_by }) {
  const several = others > 1
  if (state === 'sent' && several && read_by) return `Read by ${read_by} of ${others}`
  if (state === 'delivered' && several && read_by) return `Read by ${read_by} of ${others}`
  if (state === 'sent' && several && delivered_to) return `Delivered to ${delivered_to} of ${others}`
  return { sending: 'Sending', sent: 'Sent', delivered: 'Delivered', read: 'Read', failed: 'Not sent' }[state]
}

const REFUSALS = {
  NOT_A_MEMBER: 'you are no longer in this conversation',
  UNKNOWN_TARGET: 'what it is about is not there, or somebody has never signed in',
  NOT_ALLOWED: 'only its author, or an owner of the conversation, may do that',
  SUPERSEDED: 'it was changed by somebody else meanwhile',
  DEPENDENCY_REFUSED: 'what it belongs to was not taken either',
  TOO_LARGE: 'it is too long',
  QUOTA: 'there is no room for one more',
  INVALID: 'the host cannot read it',
  UNKNOWN_KIND: 'the host is too old for it',
  FAULT: 'the host failed at it',
}
export const refusal = ({ code, detail }) => REFUSALS[code] ?? (line(detail) || code)

/** What a row of the queue does, for who asks what waits. */
export function deed({ type, text, name, reaction, user }) {
  switch (type) {
    case 'SendMessage':
      return `Message: ${line(text)}`
    case 'EditMessage':
      return `Edit: ${line(text)}`
    case 'DeleteMessage':
      return 'Deletion of a message'
    case 'AddReaction':
    case 'RemoveReaction':
      return `Reaction ${line(reaction)}`
    case 'CreateConversation':
      return `New conversation: ${line(name) || 'without a name'}`
    case 'RenameConversation':
      return `New name: ${line(name)}`
    case 'AddMember':
      return `Adding ${line(user)}`
    case 'RemoveMember':
      return user ? 'Removing somebody' : 'Leaving'
    case 'SetDisplayName':
      return `Your name: ${line(name)}`
    case 'SetPicture':
      return 'Your picture'
    case 'AnswerInvite':
      return 'Answer to an invite'
    default:
      return 'What you have read'
  }
}

/** The connection, in a word, and in a sentence if there is something to know or to do. */
export function connection({ connection: how, why, text, next_ms }) {
  switch (how) {
    case 'live':
      return { word: 'Connected', sentence: '' }
    case 'connecting':
      return why ? offline(why, text, null) : { word: 'Connecting', sentence: '' }
    case 'catching up':
      return { word: 'Catching up', sentence: '' }
    case 'needs sign-in':
      return { word: 'Signed out by the host', sentence: signIn(why) }
    case 'displaced':
      return {
        word: 'Open elsewhere',
        sentence: 'This device is open in another browser, with the same link. What you write here is kept, and waits.',
      }
    case 'stopped':
      return {
        word: 'Stopped',
        sentence: text ? `${text}. Close other pages of this site, make room, and load it anew.` : '',
      }
    default:
      return offline(why, text, next_ms)
  }
}

/** Whether there is none, and not only a moment before there is. */
export function isLost({ connection: how, why }) {
  return how === 'connecting' ? Boolean(why) : !['live', 'catching up'].includes(how)
}

function offline(why, text, nextMs) {
  const inS = nextMs ? Math.max(0, Math.ceil((nextMs - Date.now()) / 1000)) : 0
  const when = inS > 1 ? ` Next try in ${inS}\u00a0s.` : ''
  if (why === 'STORE') return { word: 'Cannot keep anything', sentence: `${line(text)}.${when}` }
  return {
    word: 'Offline',
    sentence: `What you write is kept here, and is sent when there is a connection.${when}`,
    text,
  }
}

const signIn = (why) =>
  ({
    TOKEN_EXPIRED:
      'Your link has expired. Ask your operator for a new one for this device, and open it in this browser. What you wrote is kept, and is sent then.',
    DEVICE_REVOKED: 'Your operator has signed this device out. A new link signs it in again. What you wrote is kept.',
  })[why] ??
  'The host does not take your link any more. Ask your operator for a new one for this device, and open it in this browser. What you wrote is kept.'
