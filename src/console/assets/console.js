// A little comfort; every page works without it.
for (const box of document.querySelectorAll('input[data-checks]')) {
  // One box that ticks all of a list, e.g. for a bulk answer.
  const form = box.form ?? document;
  box.hidden = false;
  box.addEventListener('change', () => {
    for (const one of form.querySelectorAll(`input[type="checkbox"][name="${box.dataset.checks}"]`))
      one.checked = box.checked;
  });
}

for (const form of document.querySelectorAll('form[method="post"]:not(.download)')) {
  // A second click must not send the same form twice. (After a download the page is still there.)
  form.addEventListener('submit', () => {
    setTimeout(() => {
      for (const button of form.querySelectorAll('button')) button.disabled = true;
    });
  });
}

// A page that comes back from the browser's memory has its buttons back.
addEventListener('pageshow', () => {
  for (const button of document.querySelectorAll('form[method="post"] button:disabled:not([data-off])'))
    button.disabled = false;
});
