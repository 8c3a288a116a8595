export declare const bundleSimulation: (name?: string, entry?: string) => Promise<string>
export declare const bundleMutant: (name: string) => Promise<string>
export declare const removeBundle: (url: string) => void
