// Says a minute before the server ends an idle session that it will; the server's clock decides, not this one.
"use strict";

(() => {
  const warning = document.getElementById("idle");
  if (!warning) return;
  setTimeout(() => { warning.hidden = false; }, Math.max(0, Number(warning.dataset.afterS)) * 1000);
})();
