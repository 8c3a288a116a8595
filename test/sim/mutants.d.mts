export declare const mutants: Readonly<
  Record<string, { readonly path: string; readonly find: string; readonly replace: string; readonly seed: number }>
>
