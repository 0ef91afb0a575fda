// Runs before the first paint, so that the page never flashes in the other theme.
try {
  const theme = localStorage.getItem("vigil.theme");
  if (theme === '"light"' || theme === '"dark"') {
    document.documentElement.dataset.theme = JSON.parse(theme);
  }
} catch {
  // Storage may be forbidden; the system's preference then decides.
}
