package dev.whence.cli;

import dev.whence.transfer.gate.Candidate;
import dev.whence.transfer.merge.BusyException;
import dev.whence.transfer.merge.MergeOptions;
import dev.whence.transfer.merge.MergeProgress;
import dev.whence.transfer.merge.MergeRun;
import dev.whence.transfer.merge.Published;
import dev.whence.transfer.merge.TransferPlan;
import dev.whence.transfer.place.Destination;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicLong;

/** What a merge says of itself, on the way and in the end. */
final class TransferProgress {
  private TransferProgress() {}

  /** Shows bytes per second and the time left of a phase that begins now. */
  static MergeProgress on(ProgressBar bar) {
    bar.begin();
    AtomicLong shown = new AtomicLong();
    return (moved, total) -> {
      long percent = total == 0 ? 100 : moved * 100 / total;
      if (shown.getAndSet(percent) != percent) {
        synchronized (bar) {
          bar.show(moved, total, moved >> 20, "MiB");
        }
      }
    };
  }

  /** Merges and publishes, with a bar for each. */
  static Published run(TransferPlan plan, Destination to, ProgressBar bar) {
    try {
      Optional<Published> there = to.there(plan);
      if (there.isPresent()) {
        discardCandidate(to, bar);
        return to.publish(there.get(), MergeProgress.NONE, () -> false);
      }
      forgetGatedRun(to, bar);
      Published merged =
          MergeRun.run(plan, to.directory(), MergeOptions.defaults(), TransferProgress.on(bar));
      Published published = to.publish(merged, TransferProgress.on(bar), () -> false);
      discardCandidate(to, bar);
      return published;
    } finally {
      bar.finish();
    }
  }

  /** What is begun now is what {@code resume} is to go on with. */
  private static void forgetGatedRun(Destination to, ProgressBar bar) {
    clear(to, bar, Candidate::forget);
  }

  /** The output is taken: nobody goes on with what a gated run to it has left. */
  static void discardCandidate(Destination to, ProgressBar bar) {
    clear(to, bar, Candidate::discard);
  }

  private interface Clearing {
    void of(Path output) throws IOException;
  }

  private static void clear(Destination to, ProgressBar bar, Clearing clearing) {
    if (!Candidate.isLeft(to.directory())) {
      return;
    }
    try {
      clearing.of(to.directory());
    } catch (BusyException e) {
      bar.note(e.getMessage() + "; what gated runs left is that run's to remove");
    } catch (IOException e) {
      bar.note("what a gated run left beside " + to.place() + " could not be removed: " + e);
    }
  }

  static void say(PrintWriter out, Published published) {
    for (Published.Model model : published.models()) {
      out.println(
          model.directory()
              + (published.before() ? " was there already" : "")
              + ": lambda "
              + model.manifest().lambda()
              + ", digest "
              + model.manifest().digest()
              + ", plan "
              + published.planId());
    }
    out.flush();
  }
}
