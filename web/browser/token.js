// @ts-check
// The token that lets somebody make changes, as people have it: alone, or in the link that the peer printed.

/** Returns the token in what somebody pasted. @param {string} text */
export const tokenIn = (text) => /#token=([\w-]+)/.exec(text)?.[1] ?? text.trim();
