package dev.whence.cli;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.List;

/** What a command printed and how it ended. */
record CommandRun(int exit, List<String> out, List<String> err) {
  static CommandRun of(String... arguments) {
    StringWriter out = new StringWriter();
    StringWriter err = new StringWriter();
    int exit = Whence.execute(new PrintWriter(out, true), new PrintWriter(err, true), arguments);
    return new CommandRun(exit, out.toString().lines().toList(), err.toString().lines().toList());
  }
}
