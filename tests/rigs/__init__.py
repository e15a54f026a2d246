"""What all long-running rigs (simulation, torture, kills, fuzzing, floods) share."""
