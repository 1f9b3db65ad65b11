/** roleName is the name of a role, with its path, of its ARN. */
export function roleName(arn: string): string {
  return arn.replace(/^arn:[^:]*:iam::\d*:role\//, '');
}

/** accountOf is the account in an ARN. */
export function accountOf(arn: string): string {
  return arn.split(':')[4] ?? '';
}

/** middle shortens a text in its middle, to so many characters. */
export function middle(text: string, most: number): string {
  if (text.length <= most) return text;
  const head = Math.ceil((most - 1) * 0.6);
  return text.slice(0, head) + '…' + text.slice(text.length - (most - 1 - head));
}

const instant = new Intl.DateTimeFormat('en', { dateStyle: 'medium', timeStyle: 'medium', hourCycle: 'h23' });
const day = new Intl.DateTimeFormat('en', { dateStyle: 'medium' });
const clock = new Intl.DateTimeFormat('en', { timeStyle: 'medium', hourCycle: 'h23' });

/** when is a time in the person's own zone. */
export function when(time?: string): string {
  return time ? instant.format(new Date(time)) : '-';
}
export const dayOf = (time: string) => day.format(new Date(time));
export const clockOf = (time: string | Date) => clock.format(new Date(time));

const ages = new Intl.RelativeTimeFormat('en', { numeric: 'auto' });

/** ago is how long ago a time was, or how far ahead it is. */
export function ago(time?: string, now = Date.now()): string {
  if (!time) return '-';
  const seconds = (new Date(time).getTime() - now) / 1000;
  for (const [unit, length] of [
    ['day', 86400],
    ['hour', 3600],
    ['minute', 60],
  ] as const) {
    if (Math.abs(seconds) >= length) return ages.format(Math.round(seconds / length), unit);
  }
  return ages.format(Math.round(seconds), 'second');
}

/** count is a number and what it counts. */
export function count(n: number, one: string, many = one + 's'): string {
  return `${n.toLocaleString('en')} ${n === 1 ? one : many}`;
}

/** span is a number of seconds in hours or minutes. */
export function span(seconds: number): string {
  if (seconds >= 3600) return count(Math.round(seconds / 360) / 10, 'hour');
  if (seconds >= 60) return count(Math.round(seconds / 60), 'minute');
  return count(Math.round(seconds), 'second');
}
