// What Gradio gives to a component's js_on_load script.
declare const element: HTMLElement;
declare const props: any;
declare function trigger(event: string, data: Record<string, unknown>): void;
declare function upload(file: File): Promise<{ path: string; url: string }>;
declare function watch(prop: string, changed: () => void): void;
