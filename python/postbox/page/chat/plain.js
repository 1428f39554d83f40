/** Texts of strangers, made harmless to look at. They are text nodes anyhow; this is about what a
 * text can do to its neighbours: turn their direction, hide, or run over them. */

// What turns the direction of text, or cannot be seen. The joiner of emoji stays.
const UNSEEN = /[\u00ad\u061c\u115f\u1160\u180e\u200b\u200c\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0]/g
const CONTROL = /[\u0000-\u0008\u000b-\u001f\u007f]/g
const PILE = /(\p{M}{3})\p{M}+/gu // marks that are piled up would stand over other lines

/** With its line breaks. */
export const plain = (text) =>
  text
    .replace(/\r\n?/g, '\n')
    .replace(UNSEEN, '')
    .replace(CONTROL, (char) => (char === '\x7f' ? '␡' : String.fromCharCode(0x2400 + char.charCodeAt(0))))
    .replace(PILE, '$1')

/** In one line, as a name is. */
export const line = (text) => plain(text).replace(/\s+/g, ' ').trim()

const ADDRESS = /https?:\/\/[^\s<>"'`]+[^\s<>"'`.,;:!?)\]}]/g

/** A text in parts: { text } and { text, href }. An address is shown as it is, whole. */
export function* parts(text) {
  let end = 0
  for (const found of text.matchAll(ADDRESS)) {
    const href = addressOf(found[0])
    if (!href) continue
    if (found.index > end) yield { text: text.slice(end, found.index) }
    yield { text: found[0], href }
    end = found.index + found[0].length
  }
  if (end < text.length) yield { text: text.slice(end) }
}

function addressOf(text) {
  try {
    const { href, username, protocol } = new URL(text)
    return ['http:', 'https:'].includes(protocol) && !username ? href : null
  } catch {
    return null
  }
}
