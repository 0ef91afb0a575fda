import { defineConfig, loadEnv } from "vite";

/** `npm run dev` takes the API from a running Vigil: VIGIL_API, or the usual local address. */
export default defineConfig(({ mode }) => ({
  build: { target: "es2022", sourcemap: false, chunkSizeWarningLimit: 700 },
  server: {
    host: "127.0.0.1",
    proxy: { "/api": loadEnv(mode, ".", "VIGIL_").VIGIL_API ?? "http://127.0.0.1:8080" },
  },
}));
