// Applies the theme chosen in this browser before anything is drawn. Without a choice, the system's theme applies.
(() => {
  try {
    const theme = localStorage.getItem("theme");
    if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  } catch {
    // Storage is not allowed: use the system's theme.
  }
})();
