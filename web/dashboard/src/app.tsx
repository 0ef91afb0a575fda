import { useCallback, useEffect, useState } from "preact/hooks";
import { Account } from "./admin/account";
import { Admin } from "./admin/admin";
import { MustEnrol } from "./admin/must-enrol";
import { getSession, whenRestricted, whenSignedOut } from "./api/client";
import { CameraPage } from "./camera/camera-page";
import { wasSignedIn } from "./prefs";
import { cameraPath, follow, useRoute } from "./router";
import { session } from "./session";
import { SignIn } from "./sign-in";
import { Sites } from "./sites/sites";
import { useStore } from "./store";
import { Problem } from "./ui/problem";
import { Shell } from "./ui/shell";
import { Wall } from "./wall/wall";

type Asked = "asking" | "none" | "open" | "unreachable";

export function App() {
  const [asked, setAsked] = useState<Asked>(wasSignedIn.get() ? "open" : "asking");
  const route = useRoute();
  const who = useStore(session);

  const ask = useCallback(async () => {
    try {
      const who = await getSession();
      session.set(who);
      setAsked(who ? "open" : "none");
    } catch {
      // With a remembered session, the page itself says that the server does not answer.
      setAsked((known) => (known === "open" ? "open" : "unreachable"));
    }
  }, []);

  const signedOut = useCallback(() => {
    session.set(null);
    setAsked("none");
  }, []);

  useEffect(() => {
    whenSignedOut(signedOut);
    whenRestricted(() => void ask());
    // A remembered session opens the page at once. The answer says whether it is still valid.
    void ask();
  }, [ask, signedOut]);

  useEffect(() => {
    if (asked === "open") wasSignedIn.set(true);
    if (asked === "none") wasSignedIn.set(false);
  }, [asked]);

  useEffect(() => {
    if (asked !== "unreachable") return;
    const timer = setInterval(() => void ask(), 3000);
    return () => clearInterval(timer);
  }, [asked, ask]);

  if (asked === "asking") return <div class="blank" />;
  if (asked === "unreachable") {
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
  if (asked === "none") return <SignIn onSignedIn={() => void ask()} />;

  if (who?.must_enrol) return <MustEnrol onEnrolled={() => void ask()} onSignedOut={signedOut} />;

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
  if (route.page === "admin") {
    return (
      <Shell onSignedOut={signedOut}>
        <Admin section={route.section} />
      </Shell>
    );
  }
  if (route.page === "account") {
    return (
      <Shell onSignedOut={signedOut}>
        <Account />
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
