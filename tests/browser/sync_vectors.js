// Runs the conformance vectors in a page, and gives back what came of each: the test compares.
// `module`: the address of sync.js.
;async ({ module, vectors }) => {
  const sync = await import(module)
  const ME = 'aaaaaaaa-0000-8000-8000-000000000001'

  const machine = ({ fraction, steps }) => {
    const its = new sync.Machine(() => fraction)
    return steps.map(({ input }) => its.handle(input))
  }

  const stream = ({ user, place, heads, frames }) => {
    const reader = new sync.Reader(user, place, heads)
    return frames.map(({ frame }) => {
      try {
        return reader.take(frame)
      } catch (error) {
        if (error instanceof sync.Lost) return 'lost'
        throw error
      }
    })
  }

  const answers = ({ batch, answer }) => {
    try {
      return sync.settle(batch, answer)
    } catch (error) {
      if (error instanceof sync.NoAnswer) return 'no answer'
      throw error
    }
  }

  const acts = ({ act, local, now_ms }) => {
    try {
      const made = sync.outgoing(act, local, now_ms)
      return { ...made, act: sync.actOf(made.event) }
    } catch (error) {
      if (error instanceof sync.NoSuchAct) return 'refused'
      throw error
    }
  }

  const rowOf = ({ act, local, made_ms, standing, ...its }, number) => ({
    ...sync.outgoing(act, local, made_ms),
    ...{ number, made_ms, uuid: '', code: '', detail: '' },
    ...its,
    standing: sync[standing],
  })
  const SEEN = {
    'made message': (_, rows) => sync.messageMade(rows[0], ME, 'Ann'),
    message: (base, rows) => sync.overlaidMessage(base, rows, ME),
    'made conversation': (_, rows) => sync.conversationMade(rows[0], ME),
    conversation: (base, rows) => sync.overlaidConversation(base, rows, ME),
    members: (base, rows) => sync.overlaidMembers(base, rows, ME),
    profile: (base, rows) => sync.overlaidProfile(base, rows),
    invite: (base, rows) => sync.overlaidInvite(base, rows),
  }
  const views = ({ view, base, rows }) => SEEN[view](base, rows.map(rowOf))

  const RUN = { machine, stream, history: ({ page }) => sync.pageOf(page), answers, acts, views }
  return Object.fromEntries(Object.entries(vectors).map(([file, cases]) => [file, cases.map(RUN[file])]))
}
