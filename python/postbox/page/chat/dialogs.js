/** New conversations, people, oneself, what waits, and invites. Each is drawn anew while it is open. */

import { h, iconButton, openDialog } from './dom.js'
import { face, pictureOf } from './faces.js'
import { line } from './plain.js'
import { claimsOf } from './sync.js'
import { tokenIn } from './entry.js'
import { deed, full, lately, refusal, shown } from './words.js'

/** `attempt(work, problem)`: does it, and says in `problem` why not. */
const problemLine = () => h('p', { class: 'problem', role: 'alert' })
const namesIn = (text) => text.split(/[\s,;]+/).filter(Boolean)

export function newConversation(app) {
  const name = h('input', { id: 'new-name', maxLength: 256, autocomplete: 'off' })
  const members = h('input', {
    id: 'new-members',
    autocomplete: 'off',
    autocapitalize: 'none',
    spellcheck: false,
    'aria-describedby': 'new-hint',
  })
  const problem = problemLine()
  openDialog('New conversation', (dialog) =>
    h(
      'form',
      {
        onsubmit: (event) => {
          event.preventDefault()
          const act = { type: 'CreateConversation', name: name.value.trim(), members: namesIn(members.value) }
          void app.attempt(problem, async () => {
            const row = await app.device.act(act)
            dialog.close()
            app.choose(row.local)
          })
        },
      },
      h('label', { for: 'new-name' }, 'Name'),
      name,
      h('label', { for: 'new-members' }, 'With'),
      members,
      h(
        'p',
        { id: 'new-hint', class: 'hint' },
        'The names that they sign in with, with spaces between. Who has never signed in here is not known.',
      ),
      problem,
      h('button', { class: 'main' }, 'Begin'),
    ),
  )
}

export function people(app) {
  const body = h('div')
  const dialog = openDialog('People', () => body)
  app.whileOpen(dialog, async () => {
    const conversation = await app.device.conversation(app.open)
    if (!conversation) return dialog.close()
    const members = await app.device.members(app.open)
    drawPeople(app, dialog, body, conversation, members)
  })
}

function drawPeople(app, dialog, body, conversation, members) {
  if (body.contains(document.activeElement) && document.activeElement.value) return // somebody is writing
  const { me } = app
  const here = app.here()
  const problem = problemLine()
  const act = (its) => void app.attempt(problem, () => app.device.act({ conversation: conversation.key, ...its }))
  const name = h('input', { id: 'room-name', value: conversation.name, maxLength: 256 })
  const user = h('input', { id: 'add-user', autocomplete: 'off', autocapitalize: 'none', spellcheck: false })
  const history = h('input', { id: 'add-history', type: 'checkbox' })
  const rename = (event) => {
    event.preventDefault()
    name.blur()
    act({ type: 'RenameConversation', name: name.value.trim() })
  }
  const add = (event) => {
    event.preventDefault()
    const names = namesIn(user.value)
    user.value = ''
    for (const each of names) act({ type: 'AddMember', user: each, history: history.checked })
  }
  const leave = () => {
    if (!confirm('Leave this conversation? What was said in it goes from this device.')) return
    act({ type: 'RemoveMember' })
    dialog.close()
    app.choose('')
  }
  body.replaceChildren(
    h(
      'form',
      { class: 'row', onsubmit: rename },
      h('label', { for: 'room-name' }, 'Name'),
      name,
      h('button', {}, 'Rename'),
    ),
    h(
      'ul',
      { class: 'people' },
      members.map((member) => person(member, { me, here, conversation, act })),
    ),
    h(
      'form',
      { class: 'row', onsubmit: add },
      h('label', { for: 'add-user' }, 'Add somebody'),
      user,
      h('button', {}, 'Add'),
      h('label', { class: 'check', for: 'add-history' }, history, 'who sees what was said before'),
    ),
    problem,
    h('button', { type: 'button', class: 'danger', onclick: leave }, 'Leave this conversation'),
  )
}

function person(member, { me, here, conversation, act }) {
  const isMe = member.user === me
  const marks = [
    isMe ? 'you' : '',
    member.is_owner ? 'owner' : '',
    member.is_pending ? 'waiting to be sent' : '',
    !isMe && here.has(member.user) ? 'here now' : '',
    !isMe && member.read_seq
      ? member.read_seq >= (conversation.newest?.seq ?? 0)
        ? 'has read all'
        : 'has not read all'
      : '',
  ].filter(Boolean)
  const isOwner = conversation.is_owner && !isMe
  return h(
    'li',
    {},
    face(member, shown(member)),
    h(
      'span',
      { class: 'name' },
      h('b', { dir: 'auto' }, shown(member)),
      line(member.name) !== shown(member) ? h('span', { dir: 'auto' }, ` ${line(member.name)}`) : null,
      h('span', { class: 'hint' }, marks.join(' · ')),
    ),
    isOwner && !member.is_owner
      ? h(
          'button',
          { type: 'button', onclick: () => act({ type: 'AddMember', user: member.user, is_owner: true }) },
          'Make owner',
        )
      : null,
    isOwner
      ? iconButton('close', `Remove ${shown(member)}`, () => act({ type: 'RemoveMember', user: member.user }))
      : null,
  )
}

export async function oneself(app) {
  const { device, me } = app
  const profile = await device.profile(me)
  const problem = problemLine()
  const name = h('input', { id: 'own-name', value: profile.display, maxLength: 256, placeholder: profile.name })
  const file = h('input', { id: 'own-picture', type: 'file', accept: 'image/*' })
  const act = (its) => app.attempt(problem, () => device.act(its))
  const setName = (event) => {
    event.preventDefault()
    void act({ type: 'SetDisplayName', name: name.value.trim(), based_on: profile.name_change })
  }
  const setPicture = async () => {
    const png = file.files[0] && (await pictureOf(file.files[0]))
    if (png) await act({ type: 'SetPicture', png })
    else problem.textContent = 'This browser cannot read that picture.'
  }
  file.addEventListener('change', () => void setPicture())
  const { expires_ms } = claimsOf(device.owner.token)
  const until = expires_ms ? ` This link is good until ${full(expires_ms)}.` : ''
  openDialog('You', () => [
    h('p', {}, `You are ${line(profile.name)}, on the device “${line(device.owner.device)}”.${until}`),
    h(
      'form',
      { class: 'row', onsubmit: setName },
      h('label', { for: 'own-name' }, 'Your name, as others see it'),
      name,
      h('button', {}, 'Change'),
    ),
    h(
      'div',
      { class: 'row' },
      h('label', { for: 'own-picture' }, 'Your picture'),
      file,
      profile.picture
        ? h('button', { type: 'button', onclick: () => void act({ type: 'SetPicture', png: '' }) }, 'Take it away')
        : null,
    ),
    problem,
    h('button', { type: 'button', class: 'danger', onclick: () => void app.signOut() }, 'Sign out'),
    h(
      'p',
      { class: 'hint' },
      'Signing out erases all that this browser keeps of the chat. What the host has stays there.',
    ),
  ])
}

/** A new token, where the old one counts no more. */
export function signInAgain(app) {
  const field = h('input', { id: 'again-link', autocomplete: 'off', spellcheck: false })
  const problem = problemLine()
  openDialog('Sign in again', (dialog) =>
    h(
      'form',
      {
        onsubmit: (event) => {
          event.preventDefault()
          void app.attempt(problem, async () => {
            await app.device.signIn(tokenIn(field.value.trim()) || field.value.trim())
            dialog.close()
          })
        },
      },
      h(
        'p',
        {},
        `Ask your operator for a new link for ${line(app.device.owner.name)} and the device “${line(app.device.owner.device)}”, and open it in this browser, or paste it here. Nothing that you wrote is lost.`,
      ),
      h('label', { for: 'again-link' }, 'The new link'),
      field,
      problem,
      h('button', { class: 'main' }, 'Sign in'),
    ),
  )
}

/** What is not done, and why; and invites of other hosts. */
export function waiting(app) {
  const body = h('div')
  const dialog = openDialog('What waits', () => body)
  const problem = problemLine()
  const attempt = (work) => () => void app.attempt(problem, work)
  app.whileOpen(dialog, async () => {
    const [queue, invites] = await Promise.all([app.device.queue(), app.device.invites()])
    const rows = queue.filter((row) => row.standing !== 1 && row.act.type !== 'Read')
    body.replaceChildren(
      ...invites.map((invite) => inviteOf(invite, app, attempt)),
      rows.length || invites.length
        ? h(
            'ul',
            { class: 'queue' },
            rows.map((row) => rowOf(row, app, attempt)),
          )
        : h('p', { class: 'hint' }, 'Nothing: the host has all that you did.'),
      problem,
    )
  })
}

function rowOf(row, { device }, attempt) {
  const isRefused = row.standing === 2
  const tried = row.tries ? ` Tried ${row.tries} times, last at ${lately(row.tried_ms)}: ${line(row.last_error)}` : ''
  const why = isRefused ? `The host will not take it: ${refusal(row)}.` : `Waits for a connection.${tried}`
  return h(
    'li',
    {},
    h('b', { dir: 'auto' }, deed(row.act)),
    h('p', { class: isRefused ? 'problem' : 'hint' }, why),
    isRefused
      ? h(
          'div',
          { class: 'buttons' },
          h('button', { type: 'button', onclick: attempt(() => device.again(row.local)) }, 'Try again'),
          h(
            'button',
            { type: 'button', class: 'danger', onclick: attempt(() => device.dismiss(row.local, true)) },
            'Drop it',
          ),
        )
      : null,
  )
}

function inviteOf({ host, invite, inviter, name, answer }, { device }, attempt) {
  const decide = (accepted) => attempt(() => device.act({ type: 'AnswerInvite', host, invite, accepted }))
  return h(
    'div',
    { class: 'invite' },
    h('p', { dir: 'auto' }, `${line(inviter)} invites you to ${line(name) || 'a conversation'} on ${line(host)}.`),
    answer === null
      ? h(
          'div',
          { class: 'buttons' },
          h('button', { type: 'button', class: 'main', onclick: decide(true) }, 'Accept'),
          h('button', { type: 'button', onclick: decide(false) }, 'Decline'),
        )
      : h('p', { class: 'hint' }, answer ? 'You accept; that is being sent.' : 'You decline; that is being sent.'),
  )
}
