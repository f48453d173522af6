// Stands between a page that asks for a passkey and the form that carries the browser's answer (W3C Web
// Authentication, level 2). The question is in the form's data-options, with bytes in base64url.
"use strict";

(() => {
  const form = document.querySelector("form[data-passkey]");
  if (!form) return;
  const said = document.getElementById("passkey-said");

  const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
  const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer)))
    .replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  const known = (list) => (list || []).map((one) => ({ ...one, id: bytes(one.id) }));

  const say = (words) => {
    said.textContent = words;
    said.hidden = false;
  };

  const ask = async (options) => {
    options.challenge = bytes(options.challenge);
    if (form.dataset.passkey === "prove") {
      options.allowCredentials = known(options.allowCredentials);
      return navigator.credentials.get({ publicKey: options });
    }
    options.user.id = bytes(options.user.id);
    options.excludeCredentials = known(options.excludeCredentials);
    return navigator.credentials.create({ publicKey: options });
  };

  const written = (credential) => {
    const response = {};
    for (const part of ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"]) {
      if (credential.response[part]) response[part] = text(credential.response[part]);
    }
    return JSON.stringify({
      id: credential.id, rawId: text(credential.rawId), type: credential.type, response, clientExtensionResults: {},
    });
  };

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (!window.PublicKeyCredential) {
      say("This browser knows no passkeys, or the page was not opened over https. Use a code instead.");
      return;
    }
    try {
      const credential = await ask(JSON.parse(form.dataset.options));
      form.elements.credential.value = written(credential);
      form.submit();
    } catch (error) {
      if (error.name === "InvalidStateError") say("This device has a passkey for your account already.");
      else if (error.name === "SecurityError") say("Passkeys need the server's name in the address, not its number.");
      else say("No passkey was used: it was cancelled, or took too long. Try again, or use a code.");
    }
  });
})();
