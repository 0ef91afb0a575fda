import type { ComponentChildren } from "preact";

interface Props {
  readonly size?: number;
}

function Icon({ size = 20, children }: Props & { children: ComponentChildren }) {
  return (
    <svg
      class="icon"
      width={size}
      height={size}
      viewBox="0 0 20 20"
      fill="none"
      stroke="currentColor"
      stroke-width="1.7"
      stroke-linecap="round"
      stroke-linejoin="round"
      aria-hidden="true"
    >
      {children}
    </svg>
  );
}

export const Mark = ({ size = 24 }: Props) => (
  <Icon size={size}>
    <path d="M1.5 10c2.2-3.9 5-5.8 8.5-5.800s6.3 1.9 8.5 5.800c-2.2 3.9-5 5.8-8.5 5.800S3.7 13.9 1.5 10z" />
    <circle cx="10" cy="10" r="2.4" fill="currentColor" stroke="none" />
  </Icon>
);
export const Snapshot = () => (
  <Icon>
    <path d="M2.500 6.500h3l1.500-2.500h6l1.500 2.500h3v9.500h-15z" />
    <circle cx="10" cy="11" r="2.800" />
  </Icon>
);
export const Play = () => (
  <Icon>
    <path d="M6 4v12l10-6z" fill="currentColor" />
  </Icon>
);
export const Pause = () => (
  <Icon>
    <path d="M6.5 4.500v11M13.5 4.500v11" stroke-width="3" />
  </Icon>
);
export const Back = () => (
  <Icon>
    <path d="M4.2 6.500A7 7 0 1 1 3 10.500M4 3v3.800h3.8" />
  </Icon>
);
export const Forward = () => (
  <Icon>
    <path d="M15.8 6.500A7 7 0 1 0 17 10.500M16 3v3.800h-3.8" />
  </Icon>
);
export const Previous = () => (
  <Icon>
    <path d="M15 4.500L8 10l7 5.500zM5 4.500v11" />
  </Icon>
);
export const Next = () => (
  <Icon>
    <path d="M5 4.500L12 10l-7 5.500zM15 4.500v11" />
  </Icon>
);
export const FullScreen = () => (
  <Icon>
    <path d="M3.5 7.500v-4h4M12.5 3.500h4v4M16.5 12.500v4h-4M7.5 16.500h-4v-4" />
  </Icon>
);
export const AudioIcon = ({ off }: { off: boolean }) => (
  <Icon>
    <path d="M3 8v4h2.500L9.5 15V5L5.5 8z" />
    {off ? (
      <path d="M13 8l4 4M17 8l-4 4" />
    ) : (
      <path d="M12.5 7.500a4 4 0 0 1 0 5M15 5.500a7 7 0 0 1 0 9" />
    )}
  </Icon>
);
export const Boxes = () => (
  <Icon>
    <rect x="3" y="4" width="8" height="12" rx="1" />
    <path d="M14 8h3v8h-3" />
  </Icon>
);
export const Sun = () => (
  <Icon>
    <circle cx="10" cy="10" r="3.2" />
    <path d="M10 2v1.800M10 16.200V18M2 10h1.800M16.2 10H18M4.3 4.300l1.3 1.300M14.4 14.400l1.3 1.300M15.7 4.300l-1.3 1.300M5.6 14.400l-1.3 1.3" />
  </Icon>
);
export const Moon = () => (
  <Icon>
    <path d="M16.5 12A7 7 0 0 1 8 3.5 7 7 0 1 0 16.5 12z" />
  </Icon>
);
export const HalfMoon = () => (
  <Icon>
    <circle cx="10" cy="10" r="6.5" />
    <path d="M10 3.500v13a6.5 6.5 0 0 0 0-13z" fill="currentColor" />
  </Icon>
);
export const Search = () => (
  <Icon size={18}>
    <circle cx="8.8" cy="8.8" r="5.3" />
    <path d="M13 13l4 4" />
  </Icon>
);
export const Leave = () => (
  <Icon>
    <path d="M8 3.500H4.500v13H8M12 6.500l3.5 3.5-3.5 3.500M15 10H8" />
  </Icon>
);
export const Clock = () => (
  <Icon>
    <circle cx="10" cy="10" r="6.8" />
    <path d="M10 6v4.200l2.8 1.8" />
  </Icon>
);
export const NoPicture = () => (
  <Icon size={28}>
    <path d="M3 3l14 14M7 5h7.500v2.500L17 6v8M13 15H3V6.5" />
  </Icon>
);
export const Person = () => (
  <Icon>
    <circle cx="10" cy="6.8" r="3.2" />
    <path d="M3.8 17a6.3 6.3 0 0 1 12.4 0" />
  </Icon>
);
