/** The page without a network: a whole copy of its files, which is replaced as a whole, so that no
 * script of today runs beside one of yesterday. What is said goes past here: that is sync.js's. */

const FILES = [
  './',
  './chat.css',
  './chat.js',
  './composer.js',
  './dialogs.js',
  './dom.js',
  './entry.js',
  './faces.js',
  './keep.js',
  './known.js',
  './list.js',
  './manifest.webmanifest',
  './menu.js',
  './plain.js',
  './room.js',
  './span.js',
  './sync.js',
  './talk.js',
  './words.js',
  '/assets/icon.svg',
]
const PREFIX = 'postbox-chat-'
const WHOLE = '/chat/whole'
const addresses = FILES.map((name) => new URL(name, self.location).href)

self.addEventListener('install', (event) => {
  event.waitUntil(refreshAlone().then(() => self.skipWaiting()))
})

self.addEventListener('activate', (event) => event.waitUntil(self.clients.claim()))

self.addEventListener('message', (event) => {
  if (event.data === 'refresh') event.waitUntil(refreshAlone().catch(() => {}))
})

self.addEventListener('fetch', (event) => {
  const { method, url } = event.request
  const address = url.replace(/[?#].*$/, '')
  if (method === 'GET' && addresses.includes(address)) event.respondWith(answer(event.request, address))
})

async function answer(request, address) {
  const kept = await (await copy())?.match(address)
  return kept ?? fetch(request)
}

/** The newest that is whole: what ends one is put into it last. */
async function copy() {
  const names = (await caches.keys()).filter((name) => name.startsWith(PREFIX))
  for (const name of names.sort().reverse()) {
    const kept = await caches.open(name)
    if (await kept.match(WHOLE)) return kept
  }
  return null
}

/** One after the other, of this worker and of one that is being installed: each removes the copies
 * that are not its own. */
const refreshAlone = () => navigator.locks.request('postbox-chat copy', refresh)

/** All files anew, if one of them has changed; the pages are told. */
async function refresh() {
  const answers = await Promise.all(addresses.map((address) => fetch(address, { cache: 'no-cache' })))
  if (!answers.every((each) => each.ok)) throw new Error('the page is not there')
  const before = await copy()
  const isSame = await Promise.all(
    answers.map(
      async (each, at) => (await before?.match(addresses[at]))?.headers.get('etag') === each.headers.get('etag'),
    ),
  )
  if (before && isSame.every(Boolean)) return
  const filled = await Promise.all(answers.map(async (each) => [each, await each.blob()]))
  const name = `${PREFIX}${String(Date.now()).padStart(16, '0')}`
  const kept = await caches.open(name)
  try {
    await Promise.all(
      filled.map(([each, body], at) => kept.put(addresses[at], new Response(body, { headers: each.headers }))),
    )
    await kept.put(WHOLE, new Response(''))
  } catch (error) {
    await caches.delete(name)
    throw error
  }
  for (const old of await caches.keys()) if (old.startsWith(PREFIX) && old !== name) await caches.delete(old)
  if (before) for (const page of await self.clients.matchAll()) page.postMessage('updated')
}
