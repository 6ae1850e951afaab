/**
 * Which model release is live, and where its files may be. Loading it is the stage's business, on
 * the model thread.
 */
package dev.whence.runtime.models;
