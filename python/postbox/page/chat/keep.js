/** A whole copy of this page stays in the browser (worker.js). It is looked for a newer one whatever
 * becomes of the other scripts, so this one imports none of them. */

const workers = navigator.serviceWorker

function offerReload() {
  if (document.querySelector('.updated')) return
  const button = Object.assign(document.createElement('button'), { type: 'button', className: 'link' })
  button.textContent = 'Load it'
  button.addEventListener('click', () => location.reload())
  const bar = Object.assign(document.createElement('div'), { className: 'updated', role: 'status' })
  bar.append('There is a newer version of this page. ', button)
  document.body.append(bar)
}

async function keepPage() {
  workers.addEventListener('message', ({ data }) => data === 'updated' && offerReload())
  await workers.register('./worker.js')
  // Not sooner, so that no file of this load is a newer one than those before it.
  if (document.readyState !== 'complete') await new Promise((resolve) => addEventListener('load', resolve))
  workers.controller?.postMessage('refresh')
  await navigator.storage?.persist?.()
}

// Without it the page needs a network to be opened, and works all the same.
if (workers) keepPage().catch(() => {})
