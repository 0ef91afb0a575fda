import type { ComponentChildren } from "preact";

export interface Column<T> {
  readonly title: string;
  /** Shown in a narrow column at the right: buttons. */
  readonly actions?: boolean;
  cell(row: T): ComponentChildren;
}

interface Props<T> {
  readonly caption: string;
  readonly columns: readonly Column<T>[];
  readonly rows: readonly T[];
  /** Short values: on a narrow screen they share lines. */
  readonly dense?: boolean;
  keyOf(row: T): string;
}

/** A table. On a narrow screen each row becomes a card with the column's title before each value. */
export function Table<T>({ caption, columns, rows, dense, keyOf }: Props<T>) {
  return (
    <div class="table-frame">
      <table class={dense ? "table dense" : "table"}>
        <caption class="hidden">{caption}</caption>
        <thead>
          <tr>
            {columns.map(({ title, actions }) => (
              <th key={title} scope="col" class={actions ? "cell-actions" : undefined}>
                {actions ? <span class="hidden">{title}</span> : title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={keyOf(row)}>
              {columns.map(({ title, actions, cell }) => (
                <td
                  key={title}
                  class={actions ? "cell-actions" : undefined}
                  data-title={actions ? undefined : title}
                >
                  {cell(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** Grey lines in place of a table that is being loaded. */
export function TableSkeleton({ label }: { label: string }) {
  return (
    <div class="table-frame table-skeleton" aria-busy="true" role="status" aria-label={label}>
      {["92%", "78%", "85%"].map((width) => (
        <span key={width} class="skeleton line" style={{ width }} />
      ))}
    </div>
  );
}
