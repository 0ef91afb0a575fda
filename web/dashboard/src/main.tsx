import { render } from "preact";
import { App } from "./app";
import "./styles/base.css";
import "./styles/shell.css";
import "./styles/wall.css";
import "./styles/sites.css";
import "./styles/camera.css";
import "./styles/timeline.css";
import "./styles/admin.css";

const root = document.getElementById("app");
if (root) render(<App />, root);
