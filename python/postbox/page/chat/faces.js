/** Pictures of people, round; without one their first letter, in a colour that is always theirs. */

import { h } from './dom.js'
import { line } from './plain.js'
import { MAX_PICTURE_BYTES } from './sync.js'

const SIDES = [160, 128, 96, 64] // the largest that fits into what a host takes
const drawn = new Map() // by its PNG: a picture is decoded once

/** For the eye alone: its name stands beside it. */
export function face({ user = '', picture = '' }, name, size = '') {
  const hue = parseInt(user.slice(0, 4), 16) % 360 || 0
  const letter = [...line(name)][0]?.toUpperCase() ?? '·'
  const element = h('span', { class: `face ${size}`, 'aria-hidden': 'true', style: { '--hue': hue } }, letter)
  if (picture) void put(element, picture)
  return element
}

/** A picture that is none leaves the letter. */
async function put(element, picture) {
  if (!drawn.has(picture)) drawn.set(picture, decode(picture))
  const bitmap = await drawn.get(picture)
  if (!bitmap) return
  const canvas = h('canvas', { width: bitmap.width, height: bitmap.height })
  canvas.getContext('2d').drawImage(bitmap, 0, 0)
  element.replaceChildren(canvas)
}

async function decode(picture) {
  try {
    const bytes = Uint8Array.from(atob(picture), (char) => char.charCodeAt(0))
    return await createImageBitmap(new Blob([bytes], { type: 'image/png' }), { resizeWidth: 160, resizeHeight: 160 })
  } catch {
    return null
  }
}

/** The middle of a picture of any kind, as a PNG in base64 that a host takes. null: it is none. */
export async function pictureOf(file) {
  const bitmap = await createImageBitmap(file).catch(() => null)
  if (!bitmap) return null
  const edge = Math.min(bitmap.width, bitmap.height)
  const [x, y] = [(bitmap.width - edge) / 2, (bitmap.height - edge) / 2]
  for (const side of SIDES) {
    const canvas = h('canvas', { width: side, height: side })
    canvas.getContext('2d').drawImage(bitmap, x, y, edge, edge, 0, 0, side, side)
    const blob = await new Promise((resolve) => canvas.toBlob(resolve, 'image/png'))
    const bytes = new Uint8Array(await blob.arrayBuffer())
    if (bytes.length <= MAX_PICTURE_BYTES) return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''))
  }
  return null
}
