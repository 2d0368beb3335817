import { defineConfig } from "vite";

// Served by `azlan.services.portal` alone; every asset's name holds its hash, and nothing is inlined (img-src has no data:).
export default defineConfig({
  base: "/portal/",
  build: {
    target: "es2023",
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 1500,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    rolldownOptions: {
      // Fluent marks its modules for servers that render React; here nothing does.
      onwarn: (warning, show) => {
        if (warning.code !== "MODULE_LEVEL_DIRECTIVE") show(warning);
      },
    },
  },
});
