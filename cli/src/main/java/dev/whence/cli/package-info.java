/**
 * The front door. {@link dev.whence.cli.Whence} lists the commands and says how a run ends: 0 done,
 * 1 failed with one sentence on standard error, 2 wrong usage. Each command is a class of its own
 * that turns options into the records that another module takes, and what comes back into lines;
 * what several of them share are groups of options ({@link dev.whence.cli.ConnectionOptions},
 * {@link dev.whence.cli.ModelOptions}, {@link dev.whence.cli.BenchOutput}, the {@code
 * Transfer...Options}), models by name ({@link dev.whence.cli.Models}) and JSON Lines ({@link
 * dev.whence.cli.JsonLines}).
 *
 * <p>What can be wrong with options is said before a model is loaded or a cluster is asked.
 */
package dev.whence.cli;
