//! Sources and VMs that pass on what is not their matter.

/// Methods of `Source` and `FrozenVm` that a field answers.
macro_rules! passes_on {
    ($field:tt: $($method:ident),+) => { $(passes_on!(@$method $field);)+ };
    (@describe $field:tt) => {
        fn describe(&self) -> String {
            self.$field.describe()
        }
    };
    (@origin $field:tt) => {
        fn origin(&self, vm: &VmRef) -> String {
            self.$field.origin(vm)
        }
    };
    (@begin $field:tt) => {
        fn begin(&mut self, memory: &dyn Memory) -> Result<Vec<Finding>, SourceError> {
            self.$field.begin(memory)
        }
    };
    (@end $field:tt) => {
        fn end(&mut self, memory: &dyn Memory) -> Vec<Finding> {
            self.$field.end(memory)
        }
    };
    (@list $field:tt) => {
        fn list(&mut self) -> Result<Listing, SourceError> {
            self.$field.list()
        }
    };
    (@freeze $field:tt) => {
        fn freeze(&self, vm: &VmRef, request: &Request) -> Result<Box<dyn FrozenVm>, SourceError> {
            self.$field.freeze(vm, request)
        }
    };
    (@view $field:tt) => {
        fn view(&self) -> &FrozenView {
            self.$field.view()
        }
    };
    (@at_once $field:tt) => {
        fn at_once(&self) -> usize {
            self.$field.at_once()
        }
    };
    (@first $field:tt) => {
        fn first(&self) -> usize {
            self.$field.first()
        }
    };
    (@leave $field:tt) => {
        fn leave(&self, layer: usize, stopped: &dyn Fn() -> bool) -> Option<Leave> {
            self.$field.leave(layer, stopped)
        }
    };
    (@give_up $field:tt) => {
        fn give_up(&self) -> Option<Finding> {
            self.$field.give_up()
        }
    };
    (@recheck $field:tt) => {
        fn recheck(&mut self) -> Vec<Moved> {
            self.$field.recheck()
        }
    };
    (@let_go $field:tt) => {
        fn let_go(&mut self) -> Result<LetGo, Finding> {
            self.$field.let_go()
        }
    };
    (@finish $field:tt) => {
        fn finish(self: Box<Self>, end: End) -> Finished {
            self.$field.finish(end)
        }
    };
}
