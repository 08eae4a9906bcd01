// 1, 2 and 0 answer a pair, where the buttons for that are seen and nothing is being written.
document.addEventListener("keydown", (event) => {
  const names = { 1: "genzoo-left", 2: "genzoo-right", 0: "genzoo-neither" };
  const writing = event.target.closest && event.target.closest("input, textarea, select, [contenteditable=true]");
  if (!names[event.key] || event.ctrlKey || event.altKey || event.metaKey || event.repeat || writing) return;
  const button = document.getElementById(names[event.key]);
  if (button && button.offsetParent !== null && !button.disabled) {
    event.preventDefault();
    button.click();
  }
});
