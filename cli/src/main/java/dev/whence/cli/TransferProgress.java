package dev.whence.cli;

import dev.whence.transfer.merge.MergeOptions;
import dev.whence.transfer.merge.MergeProgress;
import dev.whence.transfer.merge.MergeRun;
import dev.whence.transfer.merge.Published;
import dev.whence.transfer.merge.TransferPlan;
import dev.whence.transfer.place.Destination;
import java.io.PrintWriter;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicLong;

/** What a merge says of itself, on the way and in the end. */
final class TransferProgress {
  private TransferProgress() {}

  /** Shows bytes per second and the time left. */
  static MergeProgress on(ProgressBar bar) {
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
        return there.get();
      }
      Published merged =
          MergeRun.run(plan, to.directory(), MergeOptions.defaults(), TransferProgress.on(bar));
      return to.publish(merged, TransferProgress.on(bar), () -> false);
    } finally {
      bar.finish();
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
