// biome-ignore-all lint/suspicious/noExplicitAny: what Gradio and Python send has no types here
// What Gradio, Python and the modules hand to each other.
interface Given {
  element: HTMLElement;
  props: any;
  server: Record<string, (question: any) => Promise<any>>;
}
/** A class, or a group, which has no index. */
interface Klass {
  index: number | null;
  label: string;
}
interface Prediction extends Klass {
  index: number;
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
  target: number | string | null; // a class's index, a label of the address, or a group's name
  contrast: number | string | null;
  method: string;
  example: string | null;
  path: string | null; // where the server kept the picture when it was first sent: its name for this tab
  original: number[] | null;
  weights: string | null;
}
/** `messages.Answer`, its grids unpacked. */
interface Answer {
  result: {
    image: string;
    seen: number[];
    question: { head: string; target: Klass; contrast: Klass | null; method: string };
    heads: Record<string, Prediction[] | null>;
    belief: Record<string, number>;
    statements: Record<string, { name: string; probability: number; classes: number } | null> | null;
    stages: Summary[];
    weights: any;
  };
  size: number[];
  grids: Record<string, Grid>;
  by_depth: (Klass & { belief: Record<string, number> })[];
  likeliest: Prediction[]; // of the asked head
  unlikely: boolean;
  words: Record<string, Words>;
  standing: string; // the stage that stands enlarged after the walk
  asked: Question;
  picture: string; // what tells one picture from another
}
/** `sentences.Words` */
interface Words {
  headline: string[];
  record: string | null;
  heads: string | null;
  place: string | null;
  cards: Record<string, string>;
}
interface Group {
  label: string;
  phrase: string;
  korean: string;
  indices: number[];
}
/** `weights.described` */
type Weights = Record<string, any> & {
  chosen: string | null;
  labels: string[];
  korean: string[];
  groups: Group[];
  everyday: Record<string, string>;
  source: string;
};
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
/** What the store holds. */
interface State {
  answer: Answer; // what is painted; null before the first answer
  photo: any; // its picture, upright
  weights: Weights; // that answer
  wanted: Question; // the newest one; null before the first
  back: boolean; // whether the newest question comes from the browser's Back, or from the page's opening
  stage: string; // the stage that is enlarged: the answer's standing one, until the visitor chooses another
  chosen: boolean; // whether the visitor chose it
  touched: number | null; // the index of the touched cell on the stage's grid
  truth: string | undefined; // what the picture shows: a class's label; "" for none of the classes; undefined where nobody said
  guessing: boolean; // whether names and numbers are hidden until they are guessed
  tab: string; // the tab that is open
  playing: boolean;
  load: (Progress & { source: string | null; error?: string }) | null; // the weights that are being loaded
}
/** What Python refuses, in the visitor's language. */
interface Refusal extends Error {
  kind: string; // see `Refusal` in `messages.py`
  source: string;
}
/** How far a question is. */
interface Progress {
  place?: number;
  share?: number;
  slow?: boolean;
  restarting?: boolean;
  lost?: boolean;
}
/** What was found out about a question; `meter` stands while it is asked. */
interface Finding {
  reply?: any;
  failed?: boolean;
  meter?: any;
  box?: number[] | null;
}
/** What was answered about a picture, and what it shows: classes and groups by their labels. */
interface Judged {
  name: string;
  answer: string;
  share: number;
  statement: string;
  holds: boolean; // whether the statement is true of the truth
  truth: string; // "" for none of the classes
}
/** A tab's panel. */
interface Tab {
  show: (stage: string) => void; // draws into the panel when the tab, the stage or the answer changes
  frames?: () => Cell[]; // what it draws on the enlarged stage
}
/** What the class search offers: a class or a group. */
type Choice = Klass & { note?: string };
