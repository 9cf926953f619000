// biome-ignore-all lint/suspicious/noExplicitAny: what Gradio and Python send has no types here
// What Gradio, Python and the modules hand to each other.
interface Given {
  element: HTMLElement;
  props: any;
  server: Record<string, (question: any) => Promise<any>>;
}
interface Klass {
  index: number;
  label: string;
}
interface Prediction extends Klass {
  probability: number;
}
interface Cell {
  box: number[];
  class: string;
}
/** A stage of the answer's JSON. */
interface Summary {
  name: string;
  size: number[];
  peak: number[] | null;
  share_of_evidence: number;
  branches: Record<string, number>;
}
/** A stage's map on its own cells. */
interface Grid {
  h: number;
  w: number;
  branches: Float32Array[]; // signed, in logit units, in the order of BRANCHES
  sum: Float32Array;
  peak: number; // the largest value of the sum
  top: number; // the index of its strongest cell
}
interface Question {
  head: string;
  target: number | string | null;
  contrast: number | string | null;
  example: string | null;
  path: string | null; // where the server kept the picture when it was first sent: its name for this tab
  original: number[] | null;
  weights: string | null;
}
/** An answer of `handlers.packed`, its grids unpacked. */
interface Answer {
  result: {
    image: string;
    seen: number[];
    question: { head: string; target: Klass; contrast: Klass | null };
    heads: Record<string, Prediction[] | null>;
    belief: Record<string, number>;
    stages: Summary[];
    weights: any;
  };
  size: number[];
  grids: Record<string, Grid>;
  by_depth: (Klass & { belief: Record<string, number> })[];
  unlikely: boolean;
  say: Record<string, string>;
  asked: Question;
  picture: string; // what tells one picture from another
}
/** `handlers.described`. */
type Weights = Record<string, any> & { chosen: string | null; labels: string[]; words?: string[]; source: string };
/** An answer that can be drawn although another one is painted. */
interface Kept {
  answer: Answer;
  photo: any;
  weights: Weights;
}
interface Sent {
  path: string;
  file: File;
  original: number[] | null;
  now?: string; // where the server has it, after it was sent again
}
