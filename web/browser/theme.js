// Before anything is drawn: the theme that was chosen here. Without a choice the system's counts.
(() => {
  try {
    const theme = localStorage.getItem("theme");
    if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  } catch {
    // No storage is allowed here; the system's theme it is.
  }
})();
