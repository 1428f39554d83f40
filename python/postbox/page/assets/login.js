// A link from `postbox open` carries its secret behind the #, which no server and no log is sent.
const told = document.getElementById("told");

function enter() {
  const secret = location.hash.slice(1);
  if (!secret) return;
  history.replaceState(null, "", location.pathname);
  told.textContent = "Logging in …";
  fetch("/page/login", { method: "POST", body: new URLSearchParams({ link: secret }) })
    .then(async (answer) => {
      if (answer.ok) location.reload();
      else told.textContent = await answer.text();
    })
    .catch(() => { told.textContent = "The node does not answer: try the link again."; });
}

enter();
addEventListener("hashchange", enter); // a link that is opened in this very tab loads nothing anew
