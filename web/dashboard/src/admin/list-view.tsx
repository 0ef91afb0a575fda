import type { ComponentChildren } from "preact";
import { Problem } from "../ui/problem";
import { type Column, Table, TableSkeleton } from "../ui/table";
import type { List } from "./use-list";

interface Props<T> {
  readonly title: string;
  /** What the page is for, in a sentence or two. */
  readonly lead?: string;
  readonly list: List<T>;
  readonly columns: readonly Column<T>[];
  /** What an empty list means, and what to do. */
  readonly empty: string;
  /** Buttons next to the title. */
  readonly actions?: ComponentChildren;
  readonly filters?: ComponentChildren;
  keyOf(row: T): string;
}

/** A page that lists something: its title, buttons, filters and table. */
export function ListView<T>({
  title,
  lead,
  list,
  columns,
  empty,
  actions,
  filters,
  keyOf,
}: Props<T>) {
  const { rows, error, hasMore, more, reload } = list;
  return (
    <>
      <div class="admin-head">
        <h1>{title}</h1>
        {actions}
      </div>
      {lead && <p class="admin-lead">{lead}</p>}
      {filters}
      {error && (
        <Problem
          title={`${title}: not loaded`}
          detail={error.message}
          action="Try now"
          onAction={reload}
        />
      )}
      {!error && rows === null && <TableSkeleton label={`Loading ${title.toLowerCase()}`} />}
      {rows !== null && rows.length === 0 && !error && <p class="notice">{empty}</p>}
      {rows !== null && rows.length > 0 && (
        <Table caption={title} columns={columns} rows={rows} keyOf={keyOf} />
      )}
      {hasMore && (
        <div class="more">
          <button type="button" class="button" onClick={more}>
            Show more
          </button>
        </div>
      )}
    </>
  );
}
