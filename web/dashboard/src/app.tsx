import { useCallback, useEffect, useState } from "preact/hooks";
import { hasSession, whenSignedOut } from "./api/client";
import { CameraPage } from "./camera/camera-page";
import { wasSignedIn } from "./prefs";
import { cameraPath, follow, useRoute } from "./router";
import { SignIn } from "./sign-in";
import { Sites } from "./sites/sites";
import { Problem } from "./ui/problem";
import { Shell } from "./ui/shell";
import { Wall } from "./wall/wall";

type Session = "asking" | "none" | "open" | "unreachable";

export function App() {
  const [session, setSession] = useState<Session>(wasSignedIn.get() ? "open" : "asking");
  const route = useRoute();

  const ask = useCallback(async () => {
    try {
      setSession((await hasSession()) ? "open" : "none");
    } catch {
      setSession("unreachable");
    }
  }, []);

  useEffect(() => {
    whenSignedOut(() => setSession("none"));
    // With a remembered session, the first request shows whether it is still valid.
    if (!wasSignedIn.get()) void ask();
  }, [ask]);

  useEffect(() => {
    if (session === "open") wasSignedIn.set(true);
    if (session === "none") wasSignedIn.set(false);
  }, [session]);

  useEffect(() => {
    if (session !== "unreachable") return;
    const timer = setInterval(() => void ask(), 3000);
    return () => clearInterval(timer);
  }, [session, ask]);

  if (session === "asking") return <div class="blank" />;
  if (session === "unreachable") {
    return (
      <main class="centre">
        <Problem
          title="The server does not answer"
          detail="Check that Vigil runs and that this device is connected to its network. This page tries again every few seconds."
          action="Try now"
          onAction={() => void ask()}
        />
      </main>
    );
  }
  if (session === "none") return <SignIn onSignedIn={() => setSession("open")} />;

  const signedOut = (): void => setSession("none");
  if (route.page === "wall") {
    return (
      <Shell onSignedOut={signedOut}>
        <Wall />
      </Shell>
    );
  }
  if (route.page === "sites") {
    return (
      <Shell onSignedOut={signedOut}>
        <Sites />
      </Shell>
    );
  }
  if (route.page === "camera") {
    return <CameraPage key={cameraPath(route.id)} id={route.id} onSignedOut={signedOut} />;
  }
  return (
    <Shell onSignedOut={signedOut}>
      <main class="centre">
        <Problem title="Page not found" detail="Check the address.">
          <a class="button" href="/" onClick={follow}>
            To the wall
          </a>
        </Problem>
      </main>
    </Shell>
  );
}
