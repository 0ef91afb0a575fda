import { createStore, useStore } from "./store";

export type Route =
  | { page: "wall" }
  | { page: "sites" }
  | { page: "camera"; id: string }
  | { page: "admin"; section: string }
  | { page: "account" }
  | { page: "unknown" };

export function routeOf(path: string): Route {
  if (path === "/" || path === "") return { page: "wall" };
  if (/^\/sites\/?$/.test(path)) return { page: "sites" };
  if (/^\/account\/?$/.test(path)) return { page: "account" };
  const admin = /^\/admin(?:\/([a-z]+))?\/?$/.exec(path);
  if (admin) return { page: "admin", section: admin[1] ?? "" };
  const match = /^\/camera\/([^/]+)\/([^/]+)\/([^/]+)\/?$/.exec(path);
  if (match) return { page: "camera", id: match.slice(1).map(decodeURIComponent).join("/") };
  return { page: "unknown" };
}

const route = createStore<Route>(routeOf(location.pathname));

addEventListener("popstate", () => route.set(routeOf(location.pathname)));

export function go(path: string): void {
  history.pushState(null, "", path);
  route.set(routeOf(path));
  scrollTo(0, 0);
}

/** For links: a plain click changes the page in place, any other click is the browser's. */
export function follow(event: MouseEvent): void {
  const link = event.currentTarget as HTMLAnchorElement;
  if (event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) {
    return;
  }
  event.preventDefault();
  go(link.pathname);
}

export function useRoute(): Route {
  return useStore(route);
}

export function cameraPath(id: string): string {
  return `/camera/${id.split("/").map(encodeURIComponent).join("/")}`;
}
